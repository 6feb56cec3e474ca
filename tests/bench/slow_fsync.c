// Makes each flush of the write-ahead log take a given time longer, as on a store that answers over a network.
// LD_PRELOAD into Postgres, whose wal_sync_method on Linux is fdatasync. The call sleeps and takes no processor time;
// who commits meanwhile waits for the next flush, as with a real slow disk. (commit_delay is not that: it sleeps before
// the flush and takes along all who come during the sleep, so that the mean wait is half of it.)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int fdatasync(int file) {
    static int (*real)(int);
    static long microseconds = -1;
    if (real == NULL) {
        const char *wanted = getenv("BENCH_FLUSH_MICROSECONDS");
        microseconds = wanted == NULL ? 0 : atol(wanted);
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
    if (microseconds > 0) nanosleep(&pause, NULL);
    return real(file);
}
