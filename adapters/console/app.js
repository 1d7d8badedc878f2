// The frame: who is signed in, which page is shown, and light or dark.
import { adminPages } from './admin.js'
import { call, get } from './api.js'
import { customerPages } from './customer.js'
import { field, h, note } from './dom.js'

const isAdmin = location.pathname.startsWith('/admin')
const pages = isAdmin ? adminPages : customerPages
const main = document.getElementById('main')
const nav = document.getElementById('nav')
const leave = document.getElementById('leave')
const live = document.getElementById('live')
/** Ends what the page that is shown has begun. */
let shown = new AbortController()

document.title = isAdmin ? 'Operators – aiserve-gpuproxy' : 'Console – aiserve-gpuproxy'

document.getElementById('theme').addEventListener('click', () => {
  const root = document.documentElement
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = dark ? 'light' : 'dark'
  try {
    localStorage.setItem('theme', root.dataset.theme)
  } catch {
    // It holds for this page, then.
  }
})
leave.addEventListener('click', async () => {
  await call('DELETE', '/console/session').catch((error) => note(error.message, true))
  signIn()
})
addEventListener('hashchange', () => void show())

function signIn(why) {
  shown.abort()
  nav.replaceChildren()
  leave.hidden = true
  setLive('')
  const email = h('input', { name: 'email', type: 'email', autocomplete: 'username' })
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password' })
  const key = h('input', { name: 'key', type: 'password', autocomplete: 'off', spellcheck: 'false' })
  const submit = async (event) => {
    event.preventDefault()
    const body = key.value ? { api_key: key.value.trim() } : { email: email.value, password: password.value }
    try {
      await call('POST', '/console/session', body)
      await start(body.api_key && 'This API key is not valid here.')
    } catch (error) {
      note(error.message, true)
    }
  }
  main.replaceChildren(
    h(
      'form',
      { class: 'card sign-in', onsubmit: submit },
      h('h1', {}, isAdmin ? 'Operators: sign in' : 'Sign in'),
      why && h('p', { role: 'alert' }, why),
      field('Email', email),
      field('Password', password),
      field('…or an API key', key),
      h('button', { class: 'main', type: 'submit' }, 'Sign in'),
    ),
  )
  email.focus()
}

/** `refused`: what to say where the credential is not good. */
async function start(refused) {
  try {
    if (!(await get('/console/session')).signed_in) return signIn()
    await get(isAdmin ? '/api/v1/admin/mode' : '/api/v1/auth/apikeys')
  } catch (error) {
    if (error.status === 401) return signIn(refused)
    // A customer's key may not manage keys, and is good for the rest.
    if (error.status === 403 && isAdmin) return signIn('This account is no administrator’s.')
    if (error.status !== 403) return signIn(error.message)
  }
  leave.hidden = false
  nav.replaceChildren(...pages.map(({ id, name }) => h('li', {}, h('a', { href: `#${id}` }, name))))
  await show()
}

async function show() {
  if (leave.hidden) return
  const page = pages.find(({ id }) => id === location.hash.slice(1)) ?? pages[0]
  for (const link of nav.querySelectorAll('a')) {
    if (link.hash === `#${page.id}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  shown.abort()
  shown = new AbortController()
  setLive('')
  main.replaceChildren(h('h1', {}, page.name))
  const { signal } = shown
  try {
    await page.show({ main, signal, setLive, onRefused: () => signIn('The session is over. Sign in again.') })
  } catch (error) {
    if (signal.aborted) return
    if (error.status === 401) return signIn('The session is over. Sign in again.')
    main.append(h('p', { role: 'alert', class: 'card' }, error.message))
  }
}

function setLive(state) {
  live.textContent = { live: '● live', away: '○ connection lost, trying again' }[state] ?? ''
  live.className = `live ${{ live: 'on', away: 'off' }[state] ?? ''}`
}

await start()
