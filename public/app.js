/** The storefront: one client, one card a drop, one clock for all that runs down. */
import { connect } from './drop-client.js';
import { showConnection } from './storefront/connection.js';
import { createSession } from './storefront/session.js';
import { createViews } from './storefront/views.js';
import { createWho } from './storefront/who.js';

const TICK_MS = 200;
const FEED_TICKS = 50;

const client = connect();
const session = createSession();
const views = createViews({ client, session, who: createWho(client, session) });
let ticks = 0;

showConnection(client, (state) => state === 'offline' && views.tellOffline());
setInterval(() => views.tick((ticks += 1) % FEED_TICKS === 0), TICK_MS);
