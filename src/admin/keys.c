/* Changing the cluster's keys: see keys.h. */
#include "admin/keys.h"

#include "admin/audit.h"
#include "admin/authoring.h"
#include "admin/cycle.h"
#include "admin/setup.h"
#include "config/edit.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "crypto/encode.h"
#include "crypto/secret.h"
#include "repo/release.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEYSTORE_PLACE "environments/environment/cluster/keystore"
#define HEADS	       "refs/heads/"
#define PINS	       "refs/pins/"

/* CHANGED, which is the caller's own, to the disk; then it is the identity. */
static int put_identity(const struct home *home, struct identity *identity,
			const struct identity *changed, struct err *err)
{
	if (identity_replace(home->var_fd, ADMIN_KEY, changed, err) != 0)
		return -1;
	identity_assign(identity, changed);
	return 0;
}

/* --- the keystore on main --- */

/* What main would hold with a new keystore. */
struct change {
	struct repo *repo;
	struct fileset head, files;
	bool differs;
};

static void change_clear(struct change *change)
{
	fileset_clear(&change->head);
	fileset_clear(&change->files);
	repo_free(change->repo);
}

static int set_keystore(struct fileset *files, const struct identity *identity, struct err *err)
{
	struct keystore *keystore = keystore_for(identity, "*");
	struct edited edited = {.paths = NULL};
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	keystore_free(keystore);
	rc = edit_set(files, KEYSTORE_PLACE, buf_text(&text), &edited, err);
	edited_clear(&edited);
	seal_wipe(&text);
	return rc;
}

static int seal_files(const struct home *home, struct fileset *files, struct err *err)
{
	struct keyring *ring = NULL;
	int rc = keyring_load(home, &ring, err);
	const struct sealer sealer = sealer_of(ring);
	struct authoring authoring = {.home = home, .sealer = &sealer};
	struct findings findings = {.count = 0};

	if (rc == 0 && authoring_seal(&authoring, files, &findings, err) != 0)
		rc = findings.count ? err_set(err, ERR_REFUSED, "%s", findings.lines[0]) : -1;
	findings_clear(&findings);
	authoring_clear(&authoring);
	keyring_free(ring);
	return rc;
}

static int check_on_main(const struct home *home, struct err *err)
{
	struct buf head;
	int rc;

	buf_init(&head, LIMIT_SMALL_FILE);
	rc = fs_read(home->var_fd, ADMIN_SOURCE "/.git/HEAD", &head, err);
	if (rc == 0 && strcmp(buf_text(&head), "ref: " ADMIN_MAIN "\n") != 0)
		rc = err_set(err, ERR_REFUSED, "%s/" ADMIN_SOURCE ": main is not checked out",
			     home->var);
	buf_clear(&head);
	return rc;
}

/* Nothing is changed yet, but in memory. */
static int change_begin(struct change *change, const struct home *home,
			const struct identity *identity, struct err *err)
{
	char *path = home_var(home, ADMIN_SOURCE);
	struct fileset work = {.count = 0};
	struct oid main;
	int rc = repo_open(path, &change->repo, err);

	if (rc == 0)
		rc = check_on_main(home, err);
	if (rc == 0)
		rc = repo_ref_get(change->repo, ADMIN_MAIN, &main, err);
	if (rc == 0)
		rc = tree_read_commit(change->repo, &main, &change->head, err);
	if (rc == 0)
		rc = tree_read_commit(change->repo, &main, &change->files, err);
	if (rc == 0)
		rc = set_keystore(&change->files, identity, err);
	if (rc == 0)
		rc = seal_files(home, &change->files, err);
	if (rc == 0)
		rc = source_read(change->repo, &work, err);
	if (rc == 0)
		rc = authoring_untouched(&work, &change->head, &change->files, err);
	if (rc == 0)
		change->differs = !fileset_equal(&change->head, &change->files);
	fileset_clear(&work);
	free(path);
	return rc;
}

static int change_commit(struct change *change, const struct home *home,
			 const struct identity *identity, const char *host, struct oid *out,
			 struct err *err)
{
	char *mail = text_format("admin@%s", host);
	char *message =
		text_format("Epoch %" PRIu32 " of the cluster key\n", identity->roots[0].epoch);
	const struct source_person who = {.name = (char[]){"muster"}, .mail = mail};
	const struct source_commit what = {.who = &who, .message = message, .branch = ADMIN_MAIN};
	bool changed = false;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < change->files.count; i++) {
		const struct file *file = change->files.files + i,
				  *old = fileset_find(&change->head, file->path);

		if (!old || old->size != file->size ||
		    memcmp(old->data, file->data, file->size) != 0)
			rc = authoring_write(home, &change->files, file->path, err);
	}
	if (rc == 0)
		rc = source_commit(change->repo, &what, &changed, out, err);
	free(message);
	free(mail);
	return rc;
}

/* --- epochs --- */

int keys_add_epoch(const struct home *home, struct identity *identity, const struct keys_by *by,
		   struct keys_epoch *out, struct err *err)
{
	struct identity *changed = identity_copy(identity);
	struct change change = {.differs = false};
	bool has_main = setup_done(home);
	struct err two;
	int rc = 0;

	*out = (struct keys_epoch){.fresh = identity_add_root(changed, &two) == 0};
	if (has_main)
		rc = change_begin(&change, home, changed, err);
	if (rc == 0 && !out->fresh && !change.differs)
		rc = err_set(err, two.code, "%s", two.text);
	if (rc == 0 && out->fresh)
		rc = put_identity(home, identity, changed, err);
	if (rc == 0 && out->fresh)
		log_notice("keys", "cluster", "epoch %" PRIu32 " begins, %" PRIu32 " is still good",
			   identity->roots[0].epoch, identity->roots[1].epoch);
	if (rc == 0 && out->fresh)
		rc = audit_note(home, by->who, err, "rotate-epoch %" PRIu32,
				identity->roots[0].epoch);
	if (rc == 0 && has_main)
		rc = change_commit(&change, home, identity, by->host, &out->commit, err);
	change_clear(&change);
	identity_free(changed);
	return rc;
}

int keys_end_epoch(const struct home *home, struct identity *identity, const struct keys_by *by,
		   struct err *err)
{
	struct identity *changed = identity_copy(identity);
	uint32_t ended = identity->roots[identity->root_count - 1].epoch;
	int rc = identity_end_root(changed, err);

	if (rc == 0)
		rc = put_identity(home, identity, changed, err);
	if (rc == 0)
		log_notice("keys", "cluster", "epoch %" PRIu32 " has ended", ended);
	if (rc == 0)
		rc = audit_note(home, by->who, err, "retire-epoch %" PRIu32, ended);
	identity_free(changed);
	return rc;
}

/* --- the release key --- */

static int note_release(const struct home *home, const struct keys_by *by, const char *what,
			const uint8_t public[static KEY_SIZE], struct err *err)
{
	char key[KEY_FINGERPRINT_SIZE];

	return audit_note(home, by->who, err, "%s key %s", what, key_fingerprint(public, key));
}

int keys_add_release(const struct home *home, struct identity *identity, const struct keys_by *by,
		     struct err *err)
{
	struct identity *changed = identity_copy(identity);
	int rc = identity_add_release(changed, err);

	if (rc == 0)
		rc = put_identity(home, identity, changed, err);
	if (rc == 0)
		log_notice("keys", "cluster",
			   "a new release key signs from the next publication on");
	if (rc == 0)
		rc = note_release(home, by, "rotate-release", identity->release_public[0], err);
	identity_free(changed);
	return rc;
}

struct ending {
	const struct identity *identity;
	struct repo *repo;
	const char *tagger;
	struct keys_pins *pins;
	struct err *err;
};

static int check_branch(void *arg, const char *ref, const struct oid *oid)
{
	const struct ending *ending = arg;
	const uint8_t *newest = ending->identity->release_public[0];
	struct release release = {.sequence = 0};
	struct buf raw;
	int rc;

	if (!name_valid(ref + strlen(HEADS)))
		return 0; /* not ours */
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_commit_raw(ending->repo, oid, &raw, ending->err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, &release, ending->err);
	if (rc == 0 && (release.key_count != 1 || memcmp(release.keys[0], newest, KEY_SIZE) != 0 ||
			memcmp(release.signer, newest, KEY_SIZE) != 0))
		rc = err_set(ending->err, ERR_REFUSED,
			     "the change of the release key waits for a publication: %s has no "
			     "release of the new one",
			     ref);
	release_clear(&release);
	buf_clear(&raw);
	return rc;
}

static int sign_again(const struct ending *ending, const char *node, struct pin *pin,
		      struct err *err)
{
	struct keys_pins *pins = ending->pins;
	struct keys_pin *place;

	if (pin->sequence == UINT64_MAX)
		return err_set(err, ERR_REFUSED, "its numbers are used up");
	pin->sequence++;
	memcpy(pin->tagger, ending->tagger, strlen(ending->tagger) + 1);
	memcpy(pin->signer, ending->identity->release_public[0], KEY_SIZE);
	pins->list = mem_grow(pins->list, pins->count + 1, sizeof(*pins->list));
	place = pins->list + pins->count++;
	place->pin = *pin;
	buf_init(&place->raw, PIN_RAW_MAX);
	pin_sign(pin, ending->identity->release_seed[0], &place->raw);
	return pin_store(ending->repo, node, &place->raw, err);
}

/*
 * One of this cluster's, by a key that still counts: nothing that the old key did not say is said
 * by the new one.
 */
static bool is_ours(const struct identity *identity, const char *node, const struct pin *pin)
{
	bool known = false;

	for (size_t i = 0; i < identity->release_count; i++)
		known |= memcmp(pin->signer, identity->release_public[i], KEY_SIZE) == 0;
	return known && strcmp(pin->node, node) == 0 &&
	       memcmp(pin->cluster_id, identity->cluster_id, CLUSTER_ID_SIZE) == 0;
}

/*
 * One that does not count now does not count then either: it stays, and is told as at each start.
 */
static int renew_pin(void *arg, const char *ref, const struct oid *oid)
{
	struct ending *ending = arg;
	const struct identity *identity = ending->identity;
	const char *node = ref + strlen(PINS);
	struct pin pin = {.sequence = 0};
	struct err why = {.code = ERR_NONE};
	struct buf raw;
	int rc = 0;

	(void)oid; /* found by its name */
	buf_init(&raw, PIN_RAW_MAX);
	if (pin_load(ending->repo, node, &raw, &why) != 0 ||
	    pin_parse(raw.data, raw.len, &pin, &why) != 0 || !is_ours(identity, node, &pin))
		log_warning("pins", node, "its pin does not count and is not signed again: %s",
			    why.code == ERR_NONE ? "of another node, cluster or key" : why.text);
	else if (memcmp(pin.signer, identity->release_public[0], KEY_SIZE) != 0)
		rc = sign_again(ending, node, &pin, ending->err);
	buf_clear(&raw);
	return rc == 0 ? 0 : err_prefix(ending->err, "pin of %s", node);
}

int keys_end_release(const struct home *home, struct identity *identity, const struct keys_by *by,
		     struct keys_pins *out, struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES),
	     *tagger = release_committer(by->host, text_now());
	struct identity *changed = identity_copy(identity);
	struct ending ending = {.identity = identity, .tagger = tagger, .pins = out, .err = err};
	int rc = repo_open(path, &ending.repo, err);

	*out = (struct keys_pins){.list = NULL};
	if (rc == 0)
		rc = repo_ref_each(ending.repo, HEADS, check_branch, &ending, err);
	if (rc == 0)
		rc = repo_ref_each(ending.repo, PINS, renew_pin, &ending, err);
	if (rc == 0)
		rc = note_release(home, by, "retire-release", identity->release_public[1], err);
	/* the last step: until here a kill leaves all that it takes to do it again */
	identity_end_release(changed);
	if (rc == 0)
		rc = put_identity(home, identity, changed, err);
	if (rc == 0)
		log_notice("keys", "cluster", "the old release key is retired");
	repo_free(ending.repo);
	identity_free(changed);
	free(tagger);
	free(path);
	return rc;
}

void keys_pins_clear(struct keys_pins *pins)
{
	for (size_t i = 0; i < pins->count; i++)
		buf_clear(&pins->list[i].raw);
	free(pins->list);
	*pins = (struct keys_pins){.list = NULL};
}

/* --- what is told --- */

json_t *keys_cut_off(struct registry *registry, const struct identity *identity)
{
	json_t *out = json_array();

	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct node *node = registry_at(registry, i);

		if (node->epoch != identity->roots[0].epoch)
			(void)json_array_append_new(
				out, json_string(node->name)); /* only out of memory */
	}
	return out;
}

json_t *keys_epoch_json(const struct identity *identity, const struct keys_epoch *epoch,
			json_t *publication)
{
	char hex[OID_HEX_SIZE];

	return json_pack("{s:I, s:I, s:b, s:s?, s:o*}", "epoch",
			 (json_int_t)identity->roots[0].epoch, "previous",
			 (json_int_t)identity->roots[1].epoch, "fresh", epoch->fresh, "commit",
			 oid_is_zero(&epoch->commit) ? NULL : oid_hex(&epoch->commit, hex),
			 "publication", publication);
}

json_t *keys_ended_json(const struct identity *identity, uint32_t ended, json_t *cut_off)
{
	return json_pack("{s:I, s:I, s:o*}", "epoch", (json_int_t)identity->roots[0].epoch, "ended",
			 (json_int_t)ended, "cutOff", cut_off);
}

json_t *keys_release_json(const struct identity *identity, size_t pins, json_t *publication)
{
	struct buf key;
	json_t *out;

	buf_init(&key, 128);
	encode_base64url(&key, identity->release_public[0], KEY_SIZE);
	out = json_pack("{s:s, s:b, s:I, s:o*}", "key", buf_text(&key), "done",
			identity->release_count == 1, "pins", (json_int_t)pins, "publication",
			publication);
	buf_clear(&key);
	return out;
}
