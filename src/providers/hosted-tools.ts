/**
 * What a provider does besides, at a price for each call beside that of the tokens: searches the web, runs code in a
 * container. https://platform.openai.com/docs/pricing
 */
type Fields = Readonly<Record<string, unknown>>

/** Run by the caller, or by a server that he names: they cost tokens alone. Any other may cost more. */
const callersOwn = new Set([
  ...['function', 'custom', 'mcp', 'namespace', 'tool_search', 'computer', 'computer_use_preview'],
  ...['local_shell', 'apply_patch'],
])
/** They set a provider searching where no tool is named: OpenAI's, OpenRouter's, xAI's. */
const searchFields = ['web_search_options', 'plugins', 'search_parameters']
const searchModel = /-search-(?:preview|api)(?:-|$)|:online$/

/** What in a request asks for it: the field, and the tool where it is one. */
export function hostedTool(body: Fields, model: string): { param: string; tool?: string } | undefined {
  if (Array.isArray(body.tools)) {
    for (const tool of body.tools) {
      if (!isCallersOwn(tool)) return { param: 'tools', tool: String(tool.type ?? Object.keys(tool)[0]) }
    }
  }
  return searchesIn(body, model)
}

/** What searches once for each answer, and shows nothing of it there. */
export function searchesIn(body: Fields, model: string): { param: string } | undefined {
  const param = searchFields.find((name) => body[name] != null)
  return param !== undefined ? { param } : searchModel.test(model) ? { param: 'model' } : undefined
}

/** What is no object is nobody's tool. */
function isCallersOwn(tool: Fields | null): boolean {
  if (typeof tool !== 'object' || tool === null) return true
  const { type, environment } = tool
  if (type === 'shell') return ((environment as Fields | null)?.type ?? 'local') === 'local'
  return typeof type === 'string' ? callersOwn.has(type) : 'function' in tool
}

const callersOwnCalls = new Set([
  ...['function_call', 'custom_tool_call', 'mcp_call', 'tool_search_call', 'computer_call'],
  ...['local_shell_call', 'apply_patch_call'],
])
/** Reading what was found costs tokens alone. */
const freeActions = new Set(['open_page', 'find_in_page'])

/** Whether an item of a response's output is a call that the provider bills. */
export function isHostedCall(item: unknown): boolean {
  const { type, action, environment } = (item ?? {}) as { type?: unknown; action?: unknown; environment?: unknown }
  if (typeof type !== 'string' || !type.endsWith('_call') || callersOwnCalls.has(type)) return false
  if (type === 'shell_call') return (environment as Fields | null)?.type === 'container_reference'
  return !freeActions.has(String((action as Fields | null)?.type))
}

/** Undefined where nothing is listed. */
export const hostedCallsIn = (output: unknown): number | undefined =>
  Array.isArray(output) && output.length > 0 ? output.filter(isHostedCall).length : undefined
