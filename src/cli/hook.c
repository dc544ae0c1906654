/* muster hook: what the git hooks of the authoring repository call. */
#include "admin/authoring.h"
#include "admin/scan.h"
#include "admin/trial.h"
#include "cli/cli.h"
#include "config/merge.h"
#include "control/sealing.h"
#include "core/limits.h"
#include "core/text.h"
#include "repo/blobs.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hook {
	struct cli *cli;
	struct repo *repo;
	struct findings findings;
};

/* Git shows what goes to stderr to who commits or pushes. */
static int verdict(struct hook *hook, const char *what, struct err *err)
{
	size_t count = hook->findings.count;

	for (size_t i = 0; i < count; i++)
		(void)fprintf(stderr, "%s\n", hook->findings.lines[i]); /* no one else to tell */
	return count ? err_set(err, ERR_REFUSED, "%zu finding%s: %s", count, count == 1 ? "" : "s",
			       what)
		     : 0;
}

/*
 * What a publication would say, but for what a message may allow, which is not there yet. Whoever
 * may not read the keys leaves that to the publication.
 */
static int try_files(struct hook *hook, struct fileset *files, struct err *err)
{
	struct identity *identity = NULL;
	struct trial trial = {.role_count = 0};
	int rc;

	if (cli_identity(hook->cli, &identity, NULL) != 0)
		return 0;
	rc = trial_run(hook->cli->home, identity, files, TRIAL_ALLOW_SHRINK, &trial, err);
	for (size_t i = 0; i < trial.findings.count; i++)
		findings_add(&hook->findings, "%s", trial.findings.lines[i]);
	trial_clear(&trial);
	identity_free(identity);
	return rc;
}

/* --- pre-commit, pre-merge-commit --- */

static int scan_files(struct hook *hook, const struct fileset *files, struct err *err)
{
	const struct file *file = fileset_find(files, MERGE_MODEL_FILE);
	struct model *model = NULL;

	if (!file)
		model = model_default();
	else if (model_parse(file->path, (const char *)file->data, file->size, &model, err) != 0)
		return -1;
	for (size_t i = 0; i < files->count; i++) {
		file = files->files + i;
		if (authoring_seals(file->path))
			(void)seal_scan(file->path, file->data, file->size, model, &hook->findings);
	}
	model_free(model);
	return 0;
}

static bool on_main(struct hook *hook)
{
	char *head = text_format("%sHEAD", repo_path(hook->repo)), line[64] = "";
	FILE *file = fopen(head, "re");
	bool is = file && fgets(line, sizeof(line), file) &&
		  strcmp(line, "ref: " ADMIN_MAIN "\n") == 0;

	if (file)
		(void)fclose(file); /* only read */
	free(head);
	return is;
}

/* What is about to be committed. Only main is published, so only there all of it must be right. */
static int check_index(struct hook *hook, struct err *err)
{
	struct fileset files = {.count = 0};
	int rc = blobs_read_index(hook->repo, getenv("GIT_INDEX_FILE"), &files, err);

	if (rc == 0)
		rc = scan_files(hook, &files, err);
	if (rc == 0 && hook->findings.count == 0 && on_main(hook))
		rc = try_files(hook, &files, err);
	fileset_clear(&files);
	return rc == 0 ? verdict(hook, "nothing was committed", err) : rc;
}

/* --- post-commit --- */

/* The sealed form goes into the work tree, unless that has more changes than the sealing made. */
static int settle_file(struct hook *hook, struct authoring *authoring, const struct fileset *head,
		       const struct file *work, struct err *err)
{
	const struct file *committed = fileset_find(head, work->path);
	struct findings none = {.count = 0};
	struct buf sealed;
	int rc = 0;

	if (!committed || !authoring_seals(work->path) ||
	    (committed->size == work->size && memcmp(committed->data, work->data, work->size) == 0))
		return 0;
	buf_init(&sealed, LIMIT_XML_SIZE);
	if (authoring_seal_file(authoring, work->path, work->data, work->size, &sealed, &none,
				err) == 0 &&
	    sealed.len == committed->size &&
	    memcmp(sealed.data, committed->data, sealed.len) == 0) {
		rc = authoring_write(hook->cli->home, head, work->path, err);
		if (rc == 0) /* git goes by the size alone */
			rc = blobs_settle(hook->repo, work->path, committed->data, committed->size,
					  err);
	}
	findings_clear(&none);
	buf_clear(&sealed);
	return rc;
}

static int settle(struct hook *hook, struct err *err)
{
	struct fileset head = {.count = 0}, work = {.count = 0};
	struct sealing_by by = {.ring = NULL};
	struct authoring authoring = {
		.home = hook->cli->home, .sealer = &by.sealer, .repo = hook->repo};
	struct oid commit;
	int rc = sealing_open(&by, hook->cli->home, err);

	if (rc == 0)
		rc = repo_ref_get(hook->repo, "HEAD", &commit, err);
	if (rc == 0)
		rc = tree_read_commit(hook->repo, &commit, &head, err);
	if (rc == 0)
		rc = source_read(hook->repo, &work, err);
	for (size_t i = 0; rc == 0 && i < work.count; i++)
		rc = settle_file(hook, &authoring, &head, work.files + i, err);
	authoring_clear(&authoring);
	fileset_clear(&head);
	fileset_clear(&work);
	sealing_close(&by);
	return rc;
}

/* --- pre-receive --- */

struct push {
	struct hook *hook;
	struct scan *scan;
	struct err *err;
};

static int scan_pushed(void *arg, const struct oid *commit)
{
	struct push *push = arg;

	return scan_commit(push->scan, commit, push->err);
}

/* One line of git's: what a ref was, is to be, and its name. */
static int check_ref(struct push *push, char *line)
{
	char *old = strsep(&line, " "), *new = strsep(&line, " "), *ref = line;
	struct fileset files = {.count = 0};
	struct oid commit;
	int rc;

	if (!old || !new || !ref || oid_parse(new, &commit) != 0)
		return err_set(push->err, ERR_CORRUPT, "git says what is not understood");
	if (oid_is_zero(&commit))
		return 0; /* a branch goes */
	rc = blobs_each_new(push->hook->repo, &commit, scan_pushed, push, push->err);
	if (rc != 0 || push->hook->findings.count > 0 || strcmp(ref, ADMIN_MAIN) != 0)
		return rc;
	rc = tree_read_commit(push->hook->repo, &commit, &files, push->err);
	if (rc == 0)
		rc = try_files(push->hook, &files, push->err);
	fileset_clear(&files);
	return rc;
}

/* Git holds what is pushed apart until this says yes, and throws it away if it does not. */
static int check_push(struct hook *hook, struct err *err)
{
	const char *quarantine = getenv("GIT_QUARANTINE_PATH");
	struct push push = {.hook = hook, .err = err};
	char *line = NULL;
	size_t room = 0;
	int rc = quarantine ? blobs_add_objects(hook->repo, quarantine, err) : 0;

	push.scan = scan_new(hook->repo, &hook->findings);
	while (rc == 0 && getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rc = check_ref(&push, line);
	}
	scan_free(push.scan);
	free(line);
	return rc == 0 ? verdict(hook, "the push is refused, and nothing of it is kept", err) : rc;
}

static const struct {
	const char *name;
	int (*run)(struct hook *hook, struct err *err);
} hooks[] = {
	{"post-commit", settle},
	{"pre-commit", check_index},
	{"pre-merge-commit", check_index},
	{"pre-receive", check_push},
};

int cmd_hook(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct hook hook = {.cli = cli};
	size_t i = 0, count = sizeof(hooks) / sizeof(hooks[0]);
	char *source;
	int rc;

	while (argc >= 2 && i < count && strcmp(hooks[i].name, argv[1]) != 0)
		i++;
	if (argc < 2 || i == count)
		return cli_usage(err, "hook takes the name of a git hook that Muster has");
	if (cli_open(cli, err) != 0)
		return CLI_FAILED;
	source = home_var(cli->home, ADMIN_SOURCE);
	rc = repo_open(source, &hook.repo, err);
	if (rc == 0)
		rc = hooks[i].run(&hook, err);
	findings_clear(&hook.findings);
	repo_free(hook.repo);
	free(source);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}
