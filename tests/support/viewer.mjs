// A page without a page: public/drop-client.js with real pusher-js. Arguments: API origin, drop id. Prints one JSON line
// for each view of the drop and each change of the connection.
import { createRequire } from 'node:module';

import { load } from '../js/load.mjs';

const Pusher = createRequire(import.meta.url)('pusher-js');
const { connect } = await load('drop-client.js');
const [api, id] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const client = connect({ api, Pusher });
client.onState((state) => say({ state }));
client.watchDrop(Number(id), ({ availableStock, version, soldCount }) => say({ availableStock, version, soldCount }));
process.stdin.on('end', () => process.exit(0)).resume();
