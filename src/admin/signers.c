/* Who signs releases, told to stock git: see signers.h. */
#include "admin/signers.h"

#include "admin/cycle.h"
#include "admin/gitconfig.h"
#include "core/buf.h"
#include "core/fs.h"
#include "core/limits.h"
#include "crypto/sshsig.h"
#include "repo/release.h"

#include <stdlib.h>
#include <string.h>

#define SIGNERS ADMIN_RELEASES "/allowed_signers"

/* The mail address of release_committer, a new string. */
static char *principal(const char *host)
{
	char *committer = release_committer(host, 0), *from = strchr(committer, '<') + 1;
	char *out = text_copy_n(from, strcspn(from, ">"));

	free(committer);
	return out;
}

/* Whether LINE is one of the lines of TEXT. */
static bool has_line(const struct buf *text, const char *line, size_t n)
{
	struct cursor c = cursor_of(buf_text(text), text->len);
	const char *at;
	size_t len;

	while ((at = cursor_line(&c, &len)))
		if (len == n && memcmp(at, line, n) == 0)
			return true;
	return false;
}

int signers_add(const struct home *home, const struct identity *identity, const char *host,
		struct err *err)
{
	char *who = principal(host);
	struct buf text, line;
	struct err why = {.code = ERR_NONE};
	size_t before;
	int rc = 0;

	buf_init(&text, LIMIT_SMALL_FILE);
	buf_init(&line, LIMIT_SMALL_FILE);
	if (fs_read(home->var_fd, SIGNERS, &text, &why) != 0 && why.code != ERR_GONE)
		rc = err_set(err, why.code, "%s", why.text);
	before = text.len;
	for (size_t i = 0; i < identity->release_count; i++) {
		buf_reset(&line);
		buf_printf(&line, "%s namespaces=\"" SSHSIG_NAMESPACE "\" ", who);
		sshsig_public_line(identity->release_public[i], &line);
		if (has_line(&text, buf_text(&line), line.len))
			continue;
		if (text.len && text.data[text.len - 1] != '\n')
			buf_puts(&text, "\n");
		buf_put(&text, line.data, line.len);
		buf_puts(&text, "\n");
	}
	if (rc == 0 && (text.failed || line.failed))
		rc = err_set(err, ERR_FULL, SIGNERS ": too large");
	else if (rc == 0 && text.len != before)
		rc = fs_write_atomic(home->var_fd, SIGNERS, text.data, text.len, 0644, err);
	buf_clear(&line);
	buf_clear(&text);
	free(who);
	return rc;
}

int signers_configure(const struct home *home, struct err *err)
{
	char *path = home_var(home, SIGNERS), *quoted = gitconfig_quote(path);
	char *lines = text_format(
		"[gpg]\n\tformat = ssh\n[gpg \"ssh\"]\n\tallowedSignersFile = %s\n", quoted);
	int rc = gitconfig_set(home->var_fd, ADMIN_RELEASES "/config", lines, err);

	free(lines);
	free(quoted);
	free(path);
	return rc;
}
