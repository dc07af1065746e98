/* A disk that reports faults: fsync of and writes to what lies in a folder named spool fail with EIO while a file is there. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_broken(const char *variable) {
    const char *marker = getenv(variable);
    return marker != NULL && access(marker, F_OK) == 0;
}

static int is_in_spool(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) {
        return 0;
    }
    path[length] = 0;
    return strstr(path, "/spool") != NULL;
}

int fsync(int file) {
    if (is_broken("BROKEN_FSYNC") && is_in_spool(file)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

ssize_t write(int file, const void *bytes, size_t count) {
    if (is_broken("BROKEN_WRITE") && is_in_spool(file)) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_write, file, bytes, count);
}
