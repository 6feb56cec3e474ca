/** Holds that this browser does not remember: made on another device under the same name, or before its storage was cleared. */

/** The API takes so many drops at once. */
const MOST = 50;
const EVERY_MS = 5000;

/**
 * @param {{client: any, session: any}} shop @param {() => Map<number, any>} cardsById
 * @returns {() => void} look for them soon
 */
export function createFinder({ client, session }, cardsById) {
  let timer = null;
  let asked = { userId: null, at: -Infinity, ids: '' };

  async function look() {
    const { user } = session;
    const ids = [...cardsById().keys()].filter((id) => !session.hold(id)).slice(0, MOST);
    const key = ids.join();
    const isRepeated = user?.id === asked.userId && key === asked.ids && performance.now() - asked.at < EVERY_MS;
    if (!user || ids.length === 0 || isRepeated) return;
    asked = { userId: user.id, at: performance.now(), ids: key };
    // Where it cannot be asked, a tap on the button finds the hold: reserving again gives the same one.
    const { reservations } = await client.reservations(ids, session.claim(user)).catch(() => ({ reservations: [] }));
    if (session.user?.id !== user.id) return;
    for (const reservation of reservations) cardsById().get(reservation.dropId)?.hold.adopt(reservation);
  }

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, 0);
  };
  session.onChange(soon);
  document.addEventListener('visibilitychange', () => !document.hidden && soon());
  let isOffline = false;
  client.onState((state) => {
    // What was asked before may have been lost on the way, and so may the answer to a tap on the button.
    if (isOffline && state !== 'offline') {
      asked.at = -Infinity;
      soon();
    }
    isOffline = state === 'offline';
  });
  return soon;
}
