// What an editor has to know of drop-client.js: this compiles, and each line marked as an error is one.
import { connect, DropError } from '../../../public/drop-client.js';
import type { Client, ConnectionState, Drop } from '../../../public/drop-client.js';

const client: Client = connect({
  api: 'https://shop.example',
  feed: false,
  headers: async ({ refused }) => ({ Authorization: `Bearer ${refused ? 'new' : 'kept'}` }),
  timing: { pollMs: 1000 },
});
connect();
connect({ headers: () => ({ Authorization: 'Bearer token' }) });
// @ts-expect-error no such option
connect({ url: '' });
// @ts-expect-error a header is text
connect({ headers: async () => ({ Authorization: 1 }) });
// @ts-expect-error no such time
connect({ timing: { pollSeconds: 1 } });

const stop: () => void = client.watchDrop(1, (drop) => {
  const shown: [number, string, Drop['status']] = [drop.availableStock, drop.sizes[0].size, drop.status];
  // @ts-expect-error no such state
  if (drop.status === 'GONE') shown.pop();
  // @ts-expect-error may be null
  drop.nextExpiryAt.length;
  drop.recentPurchases.map(({ username }) => username);
});
stop();
// @ts-expect-error an id is a number
client.watchDrop('1', () => {});
client.watchDrops((drops) => drops.map(({ id }) => id), { status: 'upcoming' });
// @ts-expect-error no such list
client.watchDrops(() => {}, { status: 'sold' });
client.onState((state: ConnectionState) => state === 'polling');
client.on('connected', ({ message }) => message.length);
client.on('newPurchase', ({ purchaseId, username }) => [purchaseId.toFixed(), username]);
client.on('stockUpdate', ({ stockVersion, sizes }) => sizes?.map(({ size }) => size + stockVersion));
// @ts-expect-error no such event
client.on('stockupdate', () => {});

export async function buy(): Promise<number> {
  try {
    const { reservation, expiresAt } = await client.reserve(1, { userId: 7, size: '42' });
    const left = Date.parse(expiresAt) - client.serverNow();
    const { purchase, replayed } = await client.purchase(reservation.id);
    await client.release(reservation.id, { userId: 7 });
    const { secondsLeft } = await client.reservation(reservation.id);
    return purchase.price + left + secondsLeft + Number(replayed);
  } catch (error) {
    if (error instanceof DropError) return error.retryAfter ?? error.code.length;
    throw error;
  }
}
client.createUser('ada').then(({ user }) => user.id.toFixed());
client.createUser('ada', { key: 'a key of this wish' });
// @ts-expect-error a key is text
client.createUser('ada', { key: 7 });
// @ts-expect-error a user's id is a number
client.reserve(1, { userId: 'ada' });
client.close();
