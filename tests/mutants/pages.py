"""Breakages of the pages and of the client library."""

from tests.mutants.mutant import Mutant

CLIENT = "public/drop-client"
SHOP = "public/storefront"
IN_NODE = "tests/test_drop_client.py::test_the_unit_tests_in_node"
WINDOWS = "tests/test_storefront.py"
JOURNEY = "tests/test_storefront_journey.py"
STATES = "tests/test_storefront_states.py"
IDENTITY = "tests/test_storefront_identity.py"

PAGES = [
    Mutant(
        "a page takes a stock older than the one it shows",
        f"{CLIENT}/state.js",
        "if (entry.stock && event.stockVersion <= entry.stock.stockVersion)",
        "if (false)",
        (IN_NODE,),
    ),
    Mutant(
        "a page believes its own clock",
        f"{CLIENT}/clock.js",
        "return localNow() + (isLocalAsGood ? 0 : (low + high) / 2);",
        "return localNow();",
        (IN_NODE,),
    ),
    Mutant(
        "a reply that gets lost is not asked for again",
        f"{CLIENT}/calls.js",
        "const PASSING = new Set(['network', ",
        "const PASSING = new Set([",
        (IN_NODE,),
    ),
    Mutant(
        "a list learns with its next snapshot that a drop has opened",
        f"{CLIENT}/snapshots.js",
        "status === 'live' ? ['live', 'upcoming'] : [status]",
        "[status]",
        (IN_NODE,),
    ),
    Mutant(
        "nobody looks where the channel has no stock to replay",
        f"{CLIENT}/channel.js",
        "event === 'pusher:cache_miss'",
        "false",
        (IN_NODE,),
    ),
    Mutant(
        "a live page whose look failed waits for the safety look",
        f"{CLIENT}/sync.js",
        "if (isLive && this.#failures === 0)",
        "if (isLive)",
        (IN_NODE,),
    ),
    Mutant(
        "a refused token is sent once more as it is",
        f"{SHOP}/account.js",
        "token({ renew: refused })",
        "token({ renew: false })",
        (IDENTITY,),
    ),
    Mutant(
        "the next buyer in a browser sees the last one's holds",
        f"{SHOP}/session.js",
        "`holdfast.holds.${userId}`",
        "'holdfast.holds'",
        (IDENTITY,),
    ),
    Mutant(
        "a page is painted as the list first",
        f"{SHOP}/view.js",
        ".has('drop')",
        ".has('')",
        (JOURNEY,),
    ),
    Mutant(
        "the second tap of a hurried double tap buys",
        f"{SHOP}/hold.js",
        "const SETTLE_MS = 700;",
        "const SETTLE_MS = 0;",
        (JOURNEY,),
    ),
    Mutant(
        "an answer is shown to whoever has the window by then",
        f"{SHOP}/hold.js",
        "const isHere = (user) => session.user?.id === user?.id;",
        "const isHere = () => true;",
        (IN_NODE,),
    ),
    Mutant(
        "a hold that ran out stays on the page",
        f"{SHOP}/hold.js",
        "if (left <= 0 && state.phase === 'held')",
        "if (false)",
        (WINDOWS,),
    ),
    Mutant(
        "nobody is told when the next hold ends",
        f"{SHOP}/offer.js",
        "if (!drop.nextExpiryAt)",
        "if (true)",
        (STATES,),
    ),
    Mutant(
        "a size that is sold out can be chosen",
        f"{SHOP}/sizes.js",
        "input.disabled = gone && someLeft && !input.checked;",
        "input.disabled = false;",
        (STATES,),
    ),
]
