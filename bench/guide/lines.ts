/** The guide's text, taken apart: its lines in order, and its commands. */
export interface GuideLine {
  /** Of a code block its language; a heading of a section; else prose. */
  kind: 'text' | 'heading' | `code:${string}`
  text: string
}

export interface GuideCommand {
  section: string
  language: 'bash' | 'promql'
  /** On one line. */
  command: string
}

/** Without blank lines, rules and fences. */
export function guideLines(markdown: string): GuideLine[] {
  const lines: GuideLine[] = []
  let language: string | undefined
  for (const line of markdown.split('\n').map((text) => text.trimEnd())) {
    if (line.startsWith('```')) language = language === undefined ? line.slice(3) || 'text' : undefined
    else if (line === '' || line === '---') continue
    else if (language !== undefined) lines.push({ kind: `code:${language}`, text: line })
    else lines.push({ kind: line.startsWith('## ') ? 'heading' : 'text', text: line })
  }
  return lines
}

export function guideCommands(markdown: string): GuideCommand[] {
  const commands: GuideCommand[] = []
  let section = ''
  let unfinished = ''
  for (const { kind, text } of guideLines(markdown)) {
    if (/^##/.test(text) && !kind.startsWith('code')) section = text.replace(/^#+ /, '')
    if (kind !== 'code:bash' && kind !== 'code:promql') continue
    // Comments, and lists that stand in a block of commands.
    if (unfinished === '' && /^[#-] /.test(text)) continue
    const whole = `${unfinished} ${text.replace(/\\$/, '').trim()}`.trim()
    unfinished = text.endsWith('\\') ? whole : ''
    if (!unfinished) commands.push({ section, language: kind === 'code:bash' ? 'bash' : 'promql', command: whole })
  }
  return commands
}

/** As a shell splits it; the guide quotes with apostrophes alone. */
export function wordsOf(command: string): string[] {
  return [...command.matchAll(/(?:[^\s']|'[^']*')+/g)].map(([word]) => word.replaceAll("'", ''))
}
