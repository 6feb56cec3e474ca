/**
 * Which view the address asks for, said before the first paint: styles go by it, and the modules come later, on a slow network
 * much later. Not a module, so that it runs where it stands in the page's head.
 */
document.documentElement.dataset.view = new URLSearchParams(location.search).has('drop') ? 'drop' : 'list';
