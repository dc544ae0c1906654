/* Files that are cut short while they are mapped: see mapped.h. */
#include "core/mapped.h"

#include <assert.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Programs and libraries that are loaded: musterd has 40, and a range each. */
enum { OBJECTS_MAX = 256 };

struct range {
	uintptr_t from, to;
};

static uintptr_t page_size;
static struct range objects[OBJECTS_MAX];
static size_t object_count;
static _Thread_local volatile sig_atomic_t writing, lost;

static int on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range range = {UINTPTR_MAX, 0};

	(void)size;
	(void)arg;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = info->dlpi_phdr + i;
		uintptr_t from = info->dlpi_addr + part->p_vaddr;

		if (part->p_type != PT_LOAD)
			continue;
		if (from < range.from)
			range.from = from;
		if (from + part->p_memsz > range.to)
			range.to = from + part->p_memsz;
	}
	assert(object_count < OBJECTS_MAX);
	objects[object_count++] = range;
	return 0;
}

/* Whether the page is of a program: its constants must not become zeros. */
static bool is_of_object(uintptr_t page)
{
	for (size_t i = 0; i < object_count; i++)
		if (page < objects[i].to && page + page_size > objects[i].from)
			return true;
	return false;
}

/* On the thread that read, in the middle of anything: system calls only. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr & ~(page_size - 1);
	int saved = errno, protection = writing ? PROT_READ | PROT_WRITE : PROT_READ;

	(void)context;
	lost = 1;
	if (info->si_code != BUS_ADRERR || at == 0 || is_of_object(at) ||
	    mmap((void *)at, page_size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		(void)signal(number, SIG_DFL); /* it comes again, and ends the process */
	errno = saved;
}

void mapped_setup(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	object_count = 0;
	(void)dl_iterate_phdr(on_object, NULL); /* 0, as on_object gives */
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
