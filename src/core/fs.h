/*
 * Files. All paths are relative to a directory descriptor; names are opened with
 * O_NOFOLLOW|O_CLOEXEC. Whatever must survive is written under a new name in the same folder,
 * synced, renamed, and the folder synced.
 */
#ifndef MUSTER_CORE_FS_H
#define MUSTER_CORE_FS_H

#include "core/buf.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Opens a folder for *at calls; the descriptor is the caller's. */
int fs_open_dir(int dirfd, const char *path, int *fd, struct err *err);
/* Makes a folder and those above it; fine if they are there. */
int fs_make_dirs(int dirfd, const char *path, mode_t mode, struct err *err);
/* The same, durably: the name of each one that is new survives a power cut. */
int fs_keep_dirs(int dirfd, const char *path, mode_t mode, struct err *err);
/*
 * Appends a regular file's bytes to OUT; REFUSED when larger than OUT takes, GONE when not there.
 */
int fs_read(int dirfd, const char *path, struct buf *out, struct err *err);
/* The same through symbolic links, for etc/ (mounted secrets are links). */
int fs_read_follow(int dirfd, const char *path, struct buf *out, struct err *err);
/* Replaces a file atomically and durably; after a crash it is the old or the new one, complete. */
int fs_write_atomic(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		    struct err *err);
/*
 * The same without syncing the folder: after a crash it is the old or the new one, complete, and
 * which is not certain. For what is told by something else on the disk as well.
 */
int fs_replace(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
	       struct err *err);
/* Creates a new file and syncs it (not its folder); refused if there is one. */
int fs_write_new(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		 struct err *err);
/*
 * Creates a new file that fs_sync puts on the disk later: many files are faster there when all are
 * written first.
 */
int fs_write_unsynced(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		      struct err *err);
/* Syncs a folder or file. PATH may be ".". */
int fs_sync(int dirfd, const char *path, struct err *err);
/* Points symlink LINK (in folder dirfd) at TARGET in one rename, then syncs the folder. */
int fs_swap_link(int dirfd, const char *link, const char *target, struct err *err);
/* Reads a symlink into OUT (NUL-terminated); GONE when not there. */
int fs_read_link(int dirfd, const char *path, char *out, size_t size, struct err *err);
/* Removes a file or a folder with all it holds, following no link; fine if it is not there. */
int fs_remove_tree(int dirfd, const char *path, struct err *err);
/*
 * Removes what a kill left of fs_write_atomic, fs_replace and fs_swap_link in FOLDER (not below
 * it); fine if that is not there.
 */
int fs_remove_temporary(int dirfd, const char *folder, struct err *err);
/* True when the folder is on a memory file system. */
bool fs_is_memory(int fd);
/* Writes all of it to a descriptor, or fails. */
int fs_write_all(int fd, const void *data, size_t size, struct err *err);

#endif
