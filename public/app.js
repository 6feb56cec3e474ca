/** The storefront: one client, one card a drop, one clock for all that runs down. */
import { connect } from './drop-client.js';
import { createAccount, headersOf } from './storefront/account.js';
import { showConnection } from './storefront/connection.js';
import { identity } from './storefront/identity.js';
import { createSession } from './storefront/session.js';
import { createViews } from './storefront/views.js';
import { createWho } from './storefront/who.js';

const TICK_MS = 200;
const FEED_TICKS = 50;

const client = connect(identity ? { headers: headersOf(identity) } : {});
const session = createSession(identity === null);
const who = identity ? createAccount(identity, session) : createWho(client, session);
const views = createViews({ client, session, who });
let ticks = 0;

showConnection(client, (state) => state === 'offline' && views.tellOffline());
setInterval(() => views.tick((ticks += 1) % FEED_TICKS === 0), TICK_MS);
