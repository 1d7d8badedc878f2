/** The page's own style: light and dark by the reader's setting, one column on a phone. */
export const style = `:root {
  color-scheme: light dark;
  --ink: light-dark(#1c2024, #e6e8eb);
  --quiet: light-dark(#5a626c, #a3abb5);
  --paper: light-dark(#fff, #14171a);
  --raised: light-dark(#f5f6f8, #1d2125);
  --line: light-dark(#d9dde2, #343a41);
  --link: light-dark(#0b57d0, #8ab4f8);
  --get: light-dark(#0b6b3a, #6fd39b);
  --post: light-dark(#0b57d0, #8ab4f8);
  --put: light-dark(#8a4b00, #f0b35f);
  --delete: light-dark(#b3261e, #f2a29c);
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0;
  display: grid;
  grid-template-columns: 18rem minmax(0, 1fr);
  font: 1rem/1.55 system-ui, sans-serif;
  color: var(--ink);
  background: var(--paper);
}
a { color: var(--link); }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem; background: var(--paper); z-index: 1; }
nav {
  position: sticky; top: 0; height: 100vh; overflow: auto;
  padding: 1.25rem 1rem; border-right: 1px solid var(--line); background: var(--raised); font-size: .875rem;
}
nav h2 { margin: 1.25rem 0 .25rem; font-size: .875rem; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav a { display: block; padding: .2rem .4rem; border-radius: .25rem; color: inherit; text-decoration: none; }
nav a:hover { background: var(--line); }
main { padding: 1.5rem clamp(1rem, 4vw, 3rem) 6rem; max-width: 64rem; }
h1 { margin-top: 0; line-height: 1.2; }
section > h2 { margin-top: 4rem; padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
article { margin-top: 2.5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
article h3 { margin: .75rem 0 .25rem; font-size: 1.2rem; }
article h4 { margin: 1.25rem 0 .25rem; font-size: 1rem; }
.path { margin: .25rem 0; overflow-wrap: anywhere; font-weight: 600; font-family: ui-monospace, monospace; }
.method { font: 700 .8rem ui-monospace, monospace; }
.get { color: var(--get); } .post { color: var(--post); } .put, .patch { color: var(--put); } .delete { color: var(--delete); }
code, pre { font-family: ui-monospace, monospace; font-size: .875em; }
code { overflow-wrap: anywhere; }
pre { margin: .5rem 0; padding: .75rem 1rem; overflow-x: auto; background: var(--raised); border: 1px solid var(--line); border-radius: .375rem; line-height: 1.45; }
details { margin: .4rem 0; }
summary { cursor: pointer; padding: .15rem 0; }
.table { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .925rem; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; }
td:first-child { white-space: nowrap; }
.quiet { color: var(--quiet); font-size: .875rem; }
@media (max-width: 50rem) {
  body { display: block; }
  nav { position: static; height: auto; max-height: 40vh; border-right: 0; border-bottom: 1px solid var(--line); }
  nav a { padding: .4rem; }
  td:first-child { white-space: normal; }
}
@media print { nav { display: none; } body { display: block; } }
`

export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0b57d0"/><path d="M4 5h8M4 8h5M4 11h7" stroke="#fff" stroke-width="1.5"/></svg>
`
