/**
 * Who signs buyers in: the one file that a shop with AUTH_MODE=jwt replaces; the README has an example. As it stands visitors
 * choose a name and nobody checks it, which is for development (AUTH_MODE=trusted).
 *
 * @typedef {{id: string, username: string}} Buyer `id` is the provider's: this browser keeps the holds of each apart by it
 *
 * @typedef {object} Identity
 * @property {() => Promise<Buyer|null>} current who is signed in, if anybody; asked when the page opens
 * @property {() => Promise<Buyer|null>} signIn because the visitor wants to; null if they turn away. May leave this page for the
 *   provider's own.
 * @property {() => Promise<void>} signOut
 * @property {(about: {renew: boolean}) => Promise<string|null>} token for each request of a buyer; `renew`: the last one was refused
 */

/** @type {Identity|null} */
export const identity = null;
