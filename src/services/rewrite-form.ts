/** Changes text fields of a form. Unlike JSON it is written anew for that: its bytes carry lengths and a boundary. */

export interface FormText {
  bytes: Uint8Array
  /** With the boundary. */
  contentType: string
}

/** The order of the fields stays, and so do the files. An undefined field is left out. */
export async function rewriteForm(form: FormText, fields: Record<string, string | undefined>): Promise<FormText> {
  const names = Object.keys(fields)
  if (names.length === 0) return form
  // A response that nobody is sent: the web's own parser and writer of forms hang on it.
  const read = new Response(form.bytes as BodyInit, { headers: { 'content-type': form.contentType } })
  const data = await read.formData()
  for (const name of names) {
    const value = fields[name]
    if (value === undefined) data.delete(name)
    else data.set(name, value)
  }
  const written = new Response(data)
  return {
    bytes: new Uint8Array(await written.arrayBuffer()),
    contentType: written.headers.get('content-type')!,
  }
}
