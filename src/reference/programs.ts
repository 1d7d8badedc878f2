/** Examples that are written by hand, as their readers would write them. */

/** By OpenAI's own SDK. */
export const streamBySdk = `import OpenAI from 'openai'

const client = new OpenAI({
  baseURL: \`\${process.env.GPUPROXY_URL}/v1\`,
  apiKey: process.env.GPUPROXY_KEY,
})

const stream = await client.chat.completions.create({
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Say hello in three words.' }],
  stream: true,
})
for await (const part of stream) process.stdout.write(part.choices[0]?.delta?.content ?? '')`

export const upload = (path: string) => ({
  curl: `curl -sS --fail-with-body "$GPUPROXY_URL${path}" \\
  -H "Authorization: Bearer $GPUPROXY_KEY" \\
  -F model=whisper-1 \\
  -F file=@hello.wav`,
  javascript: `import { readFile } from 'node:fs/promises'

const form = new FormData()
form.set('model', 'whisper-1')
form.set('file', new File([await readFile('hello.wav')], 'hello.wav'))
const response = await fetch(\`\${process.env.GPUPROXY_URL}${path}\`, {
  method: 'POST',
  headers: { authorization: \`Bearer \${process.env.GPUPROXY_KEY}\` },
  body: form,
})
if (!response.ok) throw new Error(await response.text())
console.log(await response.json())`,
  python: `import json, os, urllib.request, uuid

boundary = uuid.uuid4().hex
with open("hello.wav", "rb") as file:
    audio = file.read()
body = (
    f'--{boundary}\\r\\ncontent-disposition: form-data; name="model"\\r\\n\\r\\nwhisper-1\\r\\n'
    f'--{boundary}\\r\\ncontent-disposition: form-data; name="file"; filename="hello.wav"\\r\\n\\r\\n'
).encode() + audio + f"\\r\\n--{boundary}--\\r\\n".encode()
request = urllib.request.Request(
    os.environ["GPUPROXY_URL"] + "${path}",
    method="POST",
    headers={
        "Authorization": "Bearer " + os.environ["GPUPROXY_KEY"],
        "Content-Type": "multipart/form-data; boundary=" + boundary,
    },
    data=body,
)
with urllib.request.urlopen(request) as response:
    print(json.load(response))`,
})
