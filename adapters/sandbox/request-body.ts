/** What a caller's body says: JSON, the fields of a form, or just text. */

/** A file's own bytes are not kept: a name and a size tell calls apart. */
export interface FormFile {
  name: string
  type: string
  size: number
}

/** A field that stands several times is a list. */
export type FormFields = Record<string, FormField | FormField[]>
type FormField = string | FormFile

export async function parseBody(bytes: Buffer<ArrayBuffer>, contentType = ''): Promise<unknown> {
  if (bytes.length === 0) return undefined
  if (/^multipart\/form-data\b/i.test(contentType)) {
    const form = await new Response(bytes, { headers: { 'content-type': contentType } })
      .formData()
      .catch(() => undefined)
    if (form) return fieldsOf(form)
  }
  const text = bytes.toString()
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function fieldsOf(form: FormData): FormFields {
  const names = new Set(form.keys())
  return Object.fromEntries(
    Array.from(names, (name) => {
      const values = form.getAll(name).map((value) => (typeof value === 'string' ? value : fileOf(value)))
      return [name, values.length === 1 ? values[0]! : values]
    }),
  )
}

const fileOf = ({ name, type, size }: File): FormFile => ({ name, type, size })
