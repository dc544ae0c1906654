/* Files that are cut short while they are mapped: see mapped.h. */
#include "core/mapped.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static uintptr_t page_size;
static _Thread_local volatile sig_atomic_t writing, lost;

/* On the thread that read, in the middle of anything: system calls only. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr & ~(page_size - 1);
	int saved = errno, protection = writing ? PROT_READ | PROT_WRITE : PROT_READ;

	(void)context;
	lost = 1;
	if (info->si_code != BUS_ADRERR || at == 0 ||
	    mmap((void *)at, page_size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		(void)signal(number, SIG_DFL); /* it comes again, and ends the process */
	errno = saved;
}

void mapped_setup(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	if (sigaction(SIGBUS, &action, NULL) != 0)
		assert(!"SIGBUS is a signal");
}

void mapped_begin(void)
{
	writing = 1;
	lost = 0;
}

bool mapped_end(void)
{
	writing = 0;
	return lost != 0;
}
