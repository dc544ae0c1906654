/*
 * Files that are cut short while they are mapped. libgit2 maps the packs it reads, and where the
 * end of one is gone under it the kernel ends the process (SIGBUS); a daemon must not end since a
 * file was damaged. From mapped_setup on such a page reads as zeros, so that what reads it finds
 * damage like any other, by checksum, and mends it. Who writes to such a page is ended as before:
 * what was written would be lost unseen. So is a process whose own program or library is cut short.
 */
#ifndef MUSTER_CORE_MAPPED_H
#define MUSTER_CORE_MAPPED_H

#include <stdbool.h>

#define MAPPED_LOST "a file was cut short while it was written, or the disk is full"

/* For the process; once or more often. */
void mapped_setup(void);
/*
 * From here to mapped_end, on this thread, who writes to such a page goes on too: for what is
 * thrown away when mapped_end says that something was lost.
 */
void mapped_begin(void);
bool mapped_end(void);

#endif
