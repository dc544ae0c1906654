/* Settings in a repository's config file: see gitconfig.h. */
#include "admin/gitconfig.h"

#include "core/buf.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

#define BEGIN "# muster writes what follows, up to the end mark\n"
#define END   "# end of what muster writes\n"

char *gitconfig_quote(const char *text)
{
	struct buf out;

	buf_init(&out, LIMIT_SMALL_FILE);
	buf_puts(&out, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_puts(&out, "\\");
		/* a newline would begin a setting of its own */
		buf_put(&out, *text == '\n' ? "\\n" : text, *text == '\n' ? 2 : 1);
	}
	buf_puts(&out, "\"");
	return (char *)buf_steal(&out, NULL);
}

int gitconfig_set(int dirfd, const char *path, const char *lines, struct err *err)
{
	char *block = text_format(BEGIN "%s" END, lines);
	const char *begin, *end, *rest = "";
	struct buf old, new;
	int rc;

	buf_init(&old, LIMIT_SMALL_FILE);
	buf_init(&new, LIMIT_SMALL_FILE);
	rc = fs_read(dirfd, path, &old, err);
	if (rc == 0 && !strstr(buf_text(&old), block)) {
		begin = strstr(buf_text(&old), BEGIN);
		end = begin ? strstr(begin, END) : NULL;
		if (end)
			rest = end + strlen(END);
		else
			begin = buf_text(&old) + old.len;
		buf_put(&new, buf_text(&old), (size_t)(begin - buf_text(&old)));
		if (new.len &&new.data[new.len - 1] != '\n')
			buf_puts(&new, "\n");
		buf_puts(&new, block);
		buf_puts(&new, rest);
		rc = new.failed ? err_set(err, ERR_REFUSED, "%s: too large", path)
				: fs_write_atomic(dirfd, path, new.data, new.len, 0644, err);
	}
	buf_clear(&old);
	buf_clear(&new);
	free(block);
	return rc;
}
