/*
 * What record.c writes and powercut.c reads: one of these for each change, then its two paths and
 * its data.
 */
#ifndef MUSTER_TESTS_RECORD_H
#define MUSTER_TESTS_RECORD_H

#include <stdint.h>

enum {
	RECORD_MAGIC = 0x4d525032,
	RECORD_DATA_MAX = 1 << 26, /* bytes of one write: more than any of ours */
	RECORD_PATH_MAX = 8192,
};

enum record_kind {
	RECORD_CREATE = 'C',   /* a new file */
	RECORD_MKDIR = 'D',
	RECORD_SYMLINK = 'S',  /* OTHER is where it leads */
	RECORD_WRITE = 'W',    /* DATA at OFFSET */
	RECORD_TRUNCATE = 'T', /* to OFFSET bytes */
	RECORD_CHMOD = 'M',
	RECORD_RENAME = 'R',   /* OTHER becomes PATH */
	RECORD_LINK = 'L',     /* OTHER gets the second name PATH */
	RECORD_UNLINK = 'U',   /* a file or an empty folder */
	/* what PATH holds, a file's data or a folder's names, is on the disk */
	RECORD_SYNC = 'F',
};

struct record {
	uint32_t magic;
	uint32_t kind;
	uint32_t mode;
	uint32_t path_size;
	uint32_t other_size;
	uint32_t unused;
	uint64_t offset;
	uint64_t size; /* of the data */
};

#endif
