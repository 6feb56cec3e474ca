/** Imports the browser's modules: they are .js without a package.json, which Node would take for CommonJS. */
import { register } from 'node:module';

const hook = `export const load = (url, context, next) =>
  next(url, /\\/public\\/.*\\.js$/.test(url) ? { ...context, format: 'module' } : context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

export const load = (path) => import(new URL(`../../public/${path}`, import.meta.url).href);
