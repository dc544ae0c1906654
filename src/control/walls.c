/* The daemon's walls: see walls.h. */
#include "control/walls.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/text.h"
#include "node/plain.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATHS_MAX = 64 }; /* a handful, and one for each link in etc/ */

struct walls {
	struct sandbox_path paths[PATHS_MAX];
	size_t count;
};

/* Takes over PATH; NULL is fine. */
static void take_path(struct walls *walls, char *path, bool write)
{
	if (path && walls->count < PATHS_MAX)
		walls->paths[walls->count++] = (struct sandbox_path){path, write};
	else
		free(path);
}

/*
 * The folder of what PATH leads to: a file that is replaced there later is another one, which a
 * rule on the file of today would not cover. Only the file itself where that is no folder of its
 * own.
 */
static void take_target(struct walls *walls, const char *path)
{
	char *target = realpath(path, NULL), *slash = target ? strrchr(target, '/') : NULL;

	if (slash && slash != target)
		*slash = '\0';
	take_path(walls, target, false);
}

/* etc/ may hold links: secrets that are mounted are. */
static void take_links(struct walls *walls, const struct home *home, const char *folder)
{
	char *path = home_etc(home, folder);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char *name = text_format("%s/%s", path, entry->d_name);
		struct stat st;

		if (lstat(name, &st) == 0 && S_ISLNK(st.st_mode))
			take_target(walls, name);
		free(name);
	}
	if (dir)
		(void)closedir(dir); /* only read */
	free(path);
}

/* Where the configuration secret comes from, read again at each SIGHUP (crypto/secret.h). */
static void take_secret(struct walls *walls)
{
	const char *named = getenv("MUSTER_CONFIG_SECRET_FILE"),
		   *folder = getenv("CREDENTIALS_DIRECTORY");

	if (named && *named) {
		const char *slash = strrchr(named, '/');

		take_path(walls,
			  slash && slash != named ? text_copy_n(named, (size_t)(slash - named))
						  : text_copy(named),
			  false);
		take_target(walls, named);
	}
	if (folder && *folder)
		take_path(walls, text_copy(folder), false);
}

void walls_raise(const struct home *home, bool node)
{
	struct walls walls = {.count = 0};
	unsigned up;

	take_path(&walls, text_copy(home->etc), false);
	take_path(&walls, text_copy(home->var), true);
	take_path(&walls, text_copy(home->run), true);
	/* a repository on another disk */
	take_path(&walls, home_var(home, "admin/config"), true);
	take_path(&walls, home_var(home, "admin/release.git"), true);
	take_path(&walls, home_var(home, "node/replica.git"), true);
	/* the folder of the copies there has a random name, and is made when it is first needed */
	if (node && !fs_is_memory(home->run_fd))
		take_path(&walls, text_copy(PLAIN_MEMORY), true);
	take_secret(&walls);
	take_links(&walls, home, "");
	take_links(&walls, home, "init");
	up = sandbox_enter(walls.paths, walls.count);
	log_debug("daemon", "", "walls around files: %s, around system calls: %s",
		  up & SANDBOX_FILES ? "yes" : "no", up & SANDBOX_CALLS ? "yes" : "no");
	for (size_t i = 0; i < walls.count; i++)
		free((char *)walls.paths[i].path);
}
