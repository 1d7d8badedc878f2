// Before anything is drawn, so that nothing flashes.
try {
  const theme = localStorage.getItem('theme')
  if (theme) document.documentElement.dataset.theme = theme
} catch {
  // A browser that keeps nothing shows what the system prefers.
}
