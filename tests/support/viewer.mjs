// A page without a page: public/drop-client.js with real pusher-js. Arguments: API origin, drop id, timing as JSON. Prints
// one JSON line for each view of the drop and each change of the connection.
import { createRequire } from 'node:module';

import { load } from '../js/load.mjs';

const Pusher = createRequire(import.meta.url)('pusher-js');
const { connect } = await load('drop-client.js');
const [api, id, timing = '{}'] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const client = connect({ api, Pusher, timing: JSON.parse(timing) });
client.onState((state) => say({ state }));
client.watchDrop(Number(id), ({ availableStock, version, status }) => say({ availableStock, version, status }));
process.stdin.on('end', () => process.exit(0)).resume();
