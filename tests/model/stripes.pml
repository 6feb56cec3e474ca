/* Stripes, reserve, purchase, release, sweep and crash, as sql/functions.sql does them. docs/MODEL.md says what this covers.
 *
 * A step of a process is what Postgres does as one: a statement with the rows it locks, or the end of a wait. What a
 * transaction writes is its own until the commit, which shows all of it and gives up all its locks; a crash, possible
 * in place of any step, only gives them up. Time is a process too: any deadline may pass between any two steps.
 *
 * Each -D below puts one broken rule in place of the right one, and the check must fail:
 *   WAIT_FOR_STRIPES    stripes are waited for, also by who has one, in place of skip locked
 *   ROW_BEFORE_STRIPE   release locks its reservation before its stripe
 *   PURCHASE_UNLOCKED   purchase looks at its reservation and writes it without the lock
 *   DEADLINE_FIRST      purchase compares the deadline before it has the lock
 *   CHOOSE_THEN_LOCK    the sweep chooses due holds in one statement and expires them in the next, without a second look
 *   STOCK_THEN_LOCK     reserve chooses a stripe with stock in one statement and locks it in the next, likewise
 *   RELEASE_UNCHECKED   release does not look at its reservation again once it has the locks
 */
#ifndef BUYERS
#define BUYERS 3
#endif
#ifndef SWEEPS
#define SWEEPS 2
#endif
#ifndef PEOPLE
#define PEOPLE BUYERS /* fewer: some of the buyers are one person, who acts in two windows at once */
#endif
#ifndef CALLS
#define CALLS 4 /* of all buyers together, of any kind */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

/* Two units, in two stripes of one unit. A person has up to two holds one after the other, so there are two rows each. */
#define UNITS 2
#define first_row(person) (2 * (person))
#define ALL_ROWS ((1 << (2 * PEOPLE)) - 1)
#define bit(n) (1 << (n))
#define count(set) (((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1) + (((set) >> 3) & 1) + (((set) >> 4) & 1) + (((set) >> 5) & 1))

/* What is committed. Sets of rows and of stripes are bits. */
byte available[2] = 1;
byte used; /* rows that are there: live, bought, or ended */
byte live;
byte due; /* live ones whose deadline has passed */
byte bought;
byte in_second; /* rows whose unit is of the second stripe; the others' is of the first */
byte rows_locked;
byte stripes_locked;
byte calls;
byte crashes;

#define in_stripe(s) (in_second ^ ((1 - (s)) * ALL_ROWS))
/* On sale as this transaction sees it: with what it gives back itself. */
#define stock(s) (available[s] + count(closes & in_stripe(s)) > 0)
#define due_in(s) (live & due & ~closes & in_stripe(s))
#define stripe_is_free(s) (((stripes_locked & ~my_stripes) & bit(s)) == 0)
#define row_is_free(r) (((rows_locked & ~my_rows) & bit(r)) == 0)
#define may_crash crashes < CRASHES -> crashes++; goto dies

inline lock_stripe(s) {
  stripes_locked = stripes_locked | bit(s);
  my_stripes = my_stripes | bit(s)
}

inline lock_rows(set) {
  rows_locked = rows_locked | (set);
  my_rows = my_rows | (set)
}

inline unlock_and_forget() {
  rows_locked = rows_locked & ~my_rows;
  stripes_locked = stripes_locked & ~my_stripes;
  my_rows = 0;
  my_stripes = 0;
  closes = 0
}

/* Ends the rows in `closes`: as bought, or with their units given back. */
inline close_rows(as_bought) {
  assert((closes & ~live) == 0); /* a hold ends once */
  live = live & ~closes;
  due = due & ~closes;
  if
  :: as_bought -> bought = bought | closes
  :: else ->
    available[0] = available[0] + count(closes & in_stripe(0));
    available[1] = available[1] + count(closes & in_stripe(1))
  fi
}

/* The end of each transaction. What is committed changes nowhere else, so this is where it must be right. */
inline commit() {
  unlock_and_forget();
  assert(available[0] + available[1] + count(live) + count(bought) == UNITS) /* neither oversold nor lost */
}

/* expire_locked: the due holds of stripes that this transaction has, skip locked, in the statement that locks them. */
#define expirable ((due_in(0) * ((my_stripes & 1) != 0) | due_in(1) * ((my_stripes & 2) != 0)) & (ALL_ROWS & ~(rows_locked & ~my_rows)))

proctype Buyer(byte person) {
  byte row, stripe, closes, my_rows, my_stripes;
  bool good, late;

#define FIRST first_row(person)
#define SECOND (first_row(person) + 1)
#define MINE (3 << first_row(person))
idle:
  atomic {
    row = 0;
    stripe = 0;
    good = false;
    late = false;
    if
    :: calls == CALLS -> goto gone
    :: calls < CALLS && ((used & bit(SECOND)) == 0 || (live & MINE)) -> /* reserve */
      calls++;
      row = FIRST + ((live >> SECOND) & 1);
      if
      :: live & due & MINE -> goto end_own_hold
      :: live & ~due & MINE -> goto idle /* it is the answer */
      :: else -> goto stripe_with_stock
      fi
    /* Purchase and release, of either hold, also when it ended long ago. */
    :: calls < CALLS && (used & bit(FIRST)) -> calls++; row = FIRST; goto purchase
    :: calls < CALLS && (used & bit(SECOND)) -> calls++; row = SECOND; goto purchase
    :: calls < CALLS && (used & bit(FIRST)) -> calls++; row = FIRST; goto release
    :: calls < CALLS && (used & bit(SECOND)) -> calls++; row = SECOND; goto release
    fi
  }

end_own_hold: /* expire_own */
#define row_stripe ((in_second >> row) & 1)
  atomic {
    if
    :: stripe_is_free(row_stripe) -> lock_stripe(row_stripe)
#ifndef WAIT_FOR_STRIPES
    :: !stripe_is_free(row_stripe) -> goto idle /* busy */
#endif
    :: may_crash
    fi
  }
  atomic { /* may wait for a purchase, which waits for nothing */
    if
    :: row_is_free(row) -> lock_rows(bit(row)); closes = live & bit(row)
    :: may_crash
    fi
  }

stripe_with_stock: /* any that has some; who finds it locked takes the next */
#if defined(WAIT_FOR_STRIPES) || defined(STOCK_THEN_LOCK)
  atomic {
    if
    :: stock(0) -> stripe = 0
    :: stock(1) -> stripe = 1
    :: !stock(0) && !stock(1) -> goto stripe_with_due
    fi
  }
  atomic {
    if
    :: stripe_is_free(stripe) -> lock_stripe(stripe)
#ifdef STOCK_THEN_LOCK
    :: !stripe_is_free(stripe) -> goto nothing
#endif
    :: may_crash
    fi;
#ifdef WAIT_FOR_STRIPES
    if
    :: stock(stripe) -> goto take
    :: else -> goto nothing
    fi
#else
    goto take
#endif
  }
#else
  atomic {
    if
    :: stock(0) && stripe_is_free(0) -> stripe = 0
    :: stock(1) && stripe_is_free(1) -> stripe = 1
    :: !(stock(0) && stripe_is_free(0)) && !(stock(1) && stripe_is_free(1)) -> goto stripe_with_due
    :: may_crash
    fi;
    lock_stripe(stripe);
    goto take
  }
#endif

stripe_with_due:
  atomic {
    if
    :: due_in(0) && stripe_is_free(0) -> stripe = 0
    :: due_in(1) && stripe_is_free(1) -> stripe = 1
    :: !(due_in(0) && stripe_is_free(0)) && !(due_in(1) && stripe_is_free(1)) -> goto nothing
    :: may_crash
    fi;
    lock_stripe(stripe)
  }
  atomic {
    if
    :: true -> closes = closes | expirable; lock_rows(closes)
    :: may_crash
    fi;
    if
    :: stock(stripe) -> goto take
    :: else -> goto nothing
    fi
  }

take: /* one_live_hold_per_user: an insert waits for who ends a live hold of the person, and conflicts with one that stays */
  atomic {
    if
    :: (rows_locked & ~my_rows & live & MINE) == 0 ->
      close_rows(false);
      if
      :: (live & MINE) == 0 && (used & bit(SECOND)) == 0 ->
        row = FIRST + ((used >> FIRST) & 1);
        assert(available[stripe] > 0); /* constraint stock_not_negative */
        available[stripe] = available[stripe] - 1;
        used = used | bit(row);
        live = live | bit(row);
        in_second = in_second | (stripe << row)
      :: else
      fi;
      commit();
      goto idle
    :: may_crash
    fi
  }

nothing: /* busy, or sold out. The buyer's own overdue hold stays ended. */
  atomic {
    if
    :: true -> close_rows(false); commit(); goto idle
    :: may_crash
    fi
  }

purchase:
#ifdef PURCHASE_UNLOCKED
  good = (live & ~due & bit(row)) != 0;
#else
#ifdef DEADLINE_FIRST
  good = (due & bit(row)) == 0;
#endif
  atomic {
    if
    :: row_is_free(row) -> lock_rows(bit(row))
    :: may_crash
    fi;
    late = (due & bit(row)) != 0;
#ifdef DEADLINE_FIRST
    good = good && (live & bit(row)) != 0
#else
    good = (live & ~due & bit(row)) != 0
#endif
  }
#endif
  atomic {
    if
    :: true ->
      assert(!good || !late); /* sold past its deadline */
      closes = good * bit(row);
      close_rows(true);
      commit();
      goto idle
    :: may_crash
    fi
  }

release:
#ifdef ROW_BEFORE_STRIPE
  atomic { row_is_free(row) -> lock_rows(bit(row)) }
#endif
#ifdef RELEASE_UNCHECKED
  good = (live & ~due & bit(row)) != 0;
#endif
  atomic { /* nothing is held yet, so the stripe may be waited for */
    if
    :: stripe_is_free(row_stripe) -> lock_stripe(row_stripe)
    :: may_crash
    fi
  }
  atomic {
    if
    :: row_is_free(row) -> lock_rows(bit(row))
    :: may_crash
    fi;
#ifndef RELEASE_UNCHECKED
    good = (live & ~due & bit(row)) != 0
#endif
  }
  atomic {
    if
    :: true ->
      closes = good * bit(row);
      close_rows(false);
      commit();
      goto idle
    :: may_crash
    fi
  }

dies: /* rolled back. The buyer has no answer and may ask again. */
  atomic { unlock_and_forget(); goto idle }

gone:
  skip
}

proctype Sweep() {
  byte closes, my_rows, my_stripes;

#ifdef WAIT_FOR_STRIPES
  if
  :: due_in(0) -> atomic { stripe_is_free(0); lock_stripe(0) }
  :: !due_in(0)
  fi;
  if
  :: due_in(1) -> atomic { stripe_is_free(1); lock_stripe(1) }
  :: !due_in(1)
  fi;
#else
  atomic { /* the stripes with due holds that nobody has */
    if
    :: due_in(0) && stripe_is_free(0) -> lock_stripe(0)
    :: else
    fi;
    if
    :: due_in(1) && stripe_is_free(1) -> lock_stripe(1)
    :: else
    fi
  }
#endif
#ifdef CHOOSE_THEN_LOCK
  closes = due_in(0) * ((my_stripes & 1) != 0) | due_in(1) * ((my_stripes & 2) != 0);
  atomic { (rows_locked & closes) == 0; lock_rows(closes) }
#else
  atomic {
    if
    :: true -> closes = expirable; lock_rows(closes)
    :: may_crash
    fi
  }
#endif
  atomic {
    if
    :: true -> close_rows(false); commit(); goto gone
    :: may_crash
    fi
  }
dies:
  atomic { unlock_and_forget(); goto gone }
gone:
  skip
}

/* Any deadline passes at any time. */
active proctype Clock() {
  byte row;
end:
  do
  :: atomic {
      live & ~due;
      if
      :: live & ~due & 1 -> due = due | 1
      :: live & ~due & 2 -> due = due | 2
      :: live & ~due & 4 -> due = due | 4
      :: live & ~due & 8 -> due = due | 8
      :: live & ~due & 16 -> due = due | 16
      :: live & ~due & 32 -> due = due | 32
      fi
    }
  od
}

init {
  byte n;
  atomic {
    for (n : 0 .. BUYERS - 1) { run Buyer(n % PEOPLE) }
    for (n : 1 .. SWEEPS) { run Sweep() }
    n = 0
  }
  /* When all have gone, nothing is locked for good. */
  atomic { _nr_pr == 2; assert(rows_locked == 0 && stripes_locked == 0) }
}
