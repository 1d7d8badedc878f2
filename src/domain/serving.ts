/**
 * What it takes to serve a model on a rented machine: a table of well-known open models, and a guess by the name for any
 * other repository. Memory is what the weights take in 16 bits (or as they are stored) and room for the answers under way.
 */

/** vLLM's own image: its entry point is the server, which takes the arguments. */
const image = 'vllm/vllm-openai:v0.11.0'
/** Of the container: what the server listens on. */
export const servingPort = 8000

export interface Serving {
  image: string
  args: readonly string[]
  gpuCount: number
  /** GB of each GPU, at least. */
  minVramGb: number
  /** The weights, and the image unpacked. */
  diskGb: number
  /** In tokens; undefined = not known. */
  contextWindow: number | undefined
}

interface KnownModel {
  repository: string
  /** Other names that it is asked for by. */
  names: readonly string[]
  gpus: number
  /** GB of each of them. */
  vramGb: number
  diskGb: number
  contextWindow: number
  /** How it writes a call of a tool, for vLLM to read. */
  toolParser?: string
}

const knownModels: readonly KnownModel[] = [
  {
    repository: 'TinyLlama/TinyLlama-1.1B-Chat-v1.0',
    names: ['tinyllama', 'tinyllama-1.1b'],
    gpus: 1,
    vramGb: 8,
    diskGb: 30,
    contextWindow: 2_048,
  },
  {
    repository: 'Qwen/Qwen2.5-7B-Instruct',
    names: ['qwen2.5-7b', 'qwen2.5-7b-instruct'],
    gpus: 1,
    vramGb: 24,
    diskGb: 50,
    contextWindow: 32_768,
    toolParser: 'hermes',
  },
  {
    repository: 'Qwen/Qwen2.5-14B-Instruct',
    names: ['qwen2.5-14b', 'qwen2.5-14b-instruct'],
    gpus: 1,
    vramGb: 48,
    diskGb: 70,
    contextWindow: 32_768,
    toolParser: 'hermes',
  },
  {
    repository: 'Qwen/Qwen2.5-32B-Instruct',
    names: ['qwen2.5-32b', 'qwen2.5-32b-instruct'],
    gpus: 1,
    vramGb: 80,
    diskGb: 110,
    contextWindow: 16_384,
    toolParser: 'hermes',
  },
  {
    repository: 'Qwen/Qwen3-8B',
    names: ['qwen3-8b'],
    gpus: 1,
    vramGb: 24,
    diskGb: 50,
    contextWindow: 16_384,
    toolParser: 'hermes',
  },
  {
    repository: 'meta-llama/Llama-3.1-8B-Instruct',
    names: ['llama-3.1-8b', 'llama-3.1-8b-instruct'],
    gpus: 1,
    vramGb: 24,
    diskGb: 50,
    contextWindow: 16_384,
    toolParser: 'llama3_json',
  },
  {
    repository: 'meta-llama/Llama-3.3-70B-Instruct',
    names: ['llama-3.3-70b', 'llama-3.3-70b-instruct'],
    gpus: 4,
    vramGb: 48,
    diskGb: 200,
    contextWindow: 16_384,
    toolParser: 'llama3_json',
  },
  {
    repository: 'mistralai/Mistral-7B-Instruct-v0.3',
    names: ['mistral-7b', 'mistral-7b-instruct'],
    gpus: 1,
    vramGb: 24,
    diskGb: 50,
    contextWindow: 32_768,
    toolParser: 'mistral',
  },
  {
    repository: 'mistralai/Mistral-Nemo-Instruct-2407',
    names: ['mistral-nemo', 'mistral-nemo-12b'],
    gpus: 1,
    vramGb: 48,
    diskGb: 60,
    contextWindow: 32_768,
    toolParser: 'mistral',
  },
  {
    repository: 'openai/gpt-oss-20b',
    names: ['gpt-oss-20b'],
    gpus: 1,
    vramGb: 24,
    diskGb: 50,
    contextWindow: 32_768,
  },
]

const byName = new Map(
  knownModels.flatMap((known) => [known.repository, ...known.names].map((name) => [name.toLowerCase(), known])),
)

/** What may be asked for without naming a repository. */
export const servedNames: readonly string[] = knownModels.map(({ names }) => names[0]!)

const repositoryName = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/
/** Where a name tells nothing of its size. */
const usualVramGb = 24
const usualDiskGb = 60
/** Cards that can be had. */
const largestVramGb = 192
const usualLargeVramGb = 80
const mostGpus = 8

/** What of the machine the caller has chosen. */
export interface ServingWish {
  gpuCount?: number | undefined
  minVramGb?: number | undefined
}

/** A text: why it cannot be served, for whoever asked. */
export function servingOf(model: string, wish: ServingWish = {}): Serving | string {
  const known = byName.get(model.toLowerCase())
  if (known) return servingOfKnown(model, known, wish)
  if (!repositoryName.test(model)) {
    return `must be one of ${servedNames.join(', ')}, or a repository of Hugging Face as in "Qwen/Qwen2.5-7B-Instruct"`
  }
  if (/gguf|-mlx\b|\bonnx\b/i.test(model))
    return 'is in a format that vLLM does not serve: name a repository of weights'
  return servingOfGuess(model, wish)
}

function servingOfKnown(model: string, known: KnownModel, { gpuCount, minVramGb = 0 }: ServingWish): Serving {
  const gpus = gpuCount ?? known.gpus
  const needed = Math.ceil((known.gpus * known.vramGb) / gpus)
  const tools = known.toolParser ? ['--enable-auto-tool-choice', '--tool-call-parser', known.toolParser] : []
  return {
    image,
    args: [...argsOf(model, known.repository, gpus), '--max-model-len', String(known.contextWindow), ...tools],
    gpuCount: gpus,
    minVramGb: Math.max(needed, minVramGb),
    diskGb: known.diskGb,
    contextWindow: known.contextWindow,
  }
}

function servingOfGuess(model: string, { gpuCount, minVramGb }: ServingWish): Serving | string {
  const weightsGb = weightsGbOf(model)
  // A fifth more, and some gigabytes for what is being answered.
  const inAll = weightsGb === undefined ? usualVramGb : Math.ceil(weightsGb * 1.2 + 4)
  const gpus = gpuCount ?? [1, 2, 4, mostGpus].find((count) => inAll / count <= usualLargeVramGb) ?? mostGpus
  if (inAll / gpus > largestVramGb) return `takes about ${inAll} GB of GPU memory, which ${gpus} GPUs do not have`
  return {
    image,
    args: argsOf(model, model, gpus),
    gpuCount: gpus,
    minVramGb: minVramGb ?? Math.ceil(inAll / gpus),
    diskGb: weightsGb === undefined ? usualDiskGb : Math.ceil(weightsGb * 1.2) + 30,
    contextWindow: undefined,
  }
}

const argsOf = (model: string, repository: string, gpus: number): string[] => [
  ...['--model', repository, '--served-model-name', model, '--host', '0.0.0.0', '--port', String(servingPort)],
  ...(gpus > 1 ? ['--tensor-parallel-size', String(gpus)] : []),
]

/** By how many parameters the name says there are, and how they are stored. */
function weightsGbOf(model: string): number | undefined {
  const billions = billionsIn(model)
  if (billions === undefined) return undefined
  const bytes = /awq|gptq|int4|4bit|w4a16|nvfp4/i.test(model) ? 0.6 : /fp8|int8|8bit|w8a8/i.test(model) ? 1 : 2
  return billions * bytes
}

/** Of parameters; undefined: its name does not tell. */
export function billionsOf(model: string): number | undefined {
  const known = byName.get(model.toLowerCase())
  return [model, ...(known ? [known.repository, ...known.names] : [])]
    .map(billionsIn)
    .find((each) => each !== undefined)
}

/** As `7B` or `8x7B`. */
function billionsIn(name: string): number | undefined {
  const [, experts = '1', billions] = /(?:^|[-_/.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)b(?:$|[-_.])/i.exec(name) ?? []
  return billions === undefined ? undefined : Number(experts) * Number(billions)
}
