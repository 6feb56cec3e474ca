// A real pusher-js client. Arguments: key, host, port, channel...; each line of standard input is one channel more. Prints
// one JSON line for each event it gets.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const Pusher = createRequire(import.meta.url)('pusher-js');
const [key, host, port, ...channels] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify({ at: Date.now() / 1000, ...line })}\n`);

const pusher = new Pusher(key, {
  cluster: 'mt1', wsHost: host, wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], disableStats: true,
});
pusher.connection.bind('state_change', ({ current }) => say({ event: 'state', data: current }));
const subscribe = (name) => {
  const channel = pusher.subscribe(name);
  channel.bind_global((event, data) => say({ channel: name, event, data }));
};
channels.forEach(subscribe);
createInterface({ input: process.stdin }).on('line', subscribe).on('close', () => process.exit(0));
