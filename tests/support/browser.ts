/** A real Chromium without a window, as a person's browser: what it complains of is kept. */
import axe from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'
import { findTool } from './tools.ts'

export async function startBrowser(): Promise<Browser> {
  const { path, env } = await findTool('chromium-headless-shell')
  return chromium.launch({
    executablePath: path,
    env: { ...process.env, ...env } as Record<string, string>,
    // Tests run as root in containers, where there is no sandbox of its own.
    args: ['--no-sandbox'],
  })
}

export interface Watched {
  page: Page
  /** Errors of the console and of scripts, and violations of the page's content security policy. */
  complaints: string[]
  /** Rules of accessibility that are broken, serious ones and worse. */
  inaccessible(): Promise<string[]>
}

export async function openPage(
  browser: Browser,
  options: { width?: number; height?: number; dark?: boolean } = {},
): Promise<Watched> {
  const { width = 1280, height = 900, dark = false } = options
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (error) => complaints.push(`script: ${error.message}`))
  await page.exposeFunction('tellViolation', (text: string) => complaints.push(`policy: ${text}`))
  await page.addInitScript(
    `addEventListener('securitypolicyviolation', (e) => tellViolation(e.violatedDirective + ' ' + e.blockedURI))`,
  )
  return {
    page,
    complaints,
    async inaccessible() {
      await page.evaluate(axe.source)
      const { violations } = (await page.evaluate('axe.run()')) as axe.AxeResults
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
    },
  }
}
