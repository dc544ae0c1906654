/* The secrets of a configuration: which leaves, which forms, sealed, opened, moved, in files. */
#include "config/seal.h"
#include "config_fixture.h"
#include "crypto/seal.h"

#define A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define MUSTER " xmlns:muster=\"urn:muster:1\""
#define FACILITIES(inner) ROOT "<facilities" BASE MUSTER ">" inner "</facilities></config>"
#define CLUSTER(inner)                                                                            \
	ROOT "<environments" BASE "><environment><cluster>" inner                                  \
	     "</cluster></environment></environments></config>"
#define HASH5 "$5$nUL.3Z7M42S.2CUB$lNhLTkbvI1CRObt17PBY4JANoSn0agSoXLs5Fsz08o8"
#define HASH6                                                                         \
	"$6$saltstring$FAGYDyoYriJZZozrqxKlj3e8sB/i7oiBKr0IsSILeeFjOs" \
	"tTzTN7VBrJXtFNTHuRzUnhy.z43X6Jd3KbHZ.me/"

static struct keyring *ring_of(const char *text)
{
	struct keyring *ring = NULL;
	struct err err = {.code = ERR_NONE};

	if (keyring_parse("etc/secret", text, strlen(text), &ring, &err) != 0)
		fail_msg("%s", err.text);
	return ring;
}

struct fixture {
	struct model *model;
	struct keyring *a, *b, *none;
	struct sealer by_a, by_b, by_none;
};

static int setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));

	f->model = model_default();
	f->a = ring_of(A);
	f->b = ring_of(B);
	f->none = keyring_new();
	f->by_a = sealer_of(f->a);
	f->by_b = sealer_of(f->b);
	f->by_none = sealer_of(f->none);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	model_free(f->model);
	keyring_free(f->a);
	keyring_free(f->b);
	keyring_free(f->none);
	free(f);
	return 0;
}

static void has_finding(const struct findings *findings, const char *want)
{
	for (size_t i = 0; i < findings->count; i++)
		if (strstr(findings->lines[i], want))
			return;
	for (size_t i = 0; i < findings->count; i++)
		print_message("%s\n", findings->lines[i]);
	fail_msg("no finding with \"%s\"", want);
}

/* The file sealed; NULL when it is refused, for a reason with WANT. */
static char *file_sealed(const struct sealing *how, const char *text, bool *changed,
			 const char *want)
{
	struct findings findings = {.count = 0};
	struct err err = {.code = ERR_NONE};
	struct buf out;
	bool did = false;
	int rc;

	buf_init(&out, 1 << 20);
	rc = seal_file("t.xml", text, strlen(text), how, &out, &did, &findings, &err);
	if (rc != 0 && !want)
		fail_msg("%s", findings.count ? findings.lines[0] : err.text);
	if (want) {
		assert_int_equal(rc, -1);
		if (findings.count > 0)
			has_finding(&findings, want);
		else
			assert_has(err.text, want);
		buf_clear(&out);
	}
	findings_clear(&findings);
	if (changed)
		*changed = did;
	return want ? NULL : (char *)buf_steal(&out, NULL);
}

static char *seal_text(const struct fixture *f, const char *text)
{
	const struct sealing how = {.model = f->model, .sealer = &f->by_a};

	return file_sealed(&how, text, NULL, NULL);
}

static void refuse_file(const struct fixture *f, const char *text, const char *want)
{
	const struct sealing how = {.model = f->model, .sealer = &f->by_a};

	(void)file_sealed(&how, text, NULL, want);
}

/* Opens what TEXT has sealed, for the role or config; the stable form. */
static char *open_text(const struct fixture *f, const char *text, const char *role,
		       const struct keyring *ring)
{
	struct document *doc = parse(text);
	struct err err = {.code = ERR_NONE};
	char *out;

	if (seal_open_document(doc, f->model, ring, role, &err) != 0)
		fail_msg("%s", err.text);
	out = text_of(doc);
	seal_document_free(doc, f->model);
	return out;
}

static void test_layout(void **state)
{
	const struct fixture *f = *state;
	/* a person's own layout, with all that could lead a search for the value astray */
	static const char text[] =
		"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
		"<!-- <x> > \" ' -->\n"
		"<config  xmlns='http://tail-f.com/ns/config/1.0' a=\"x>y\" b='\"/>'>\n"
		"   <facilities" BASE "\n  ><?pi <password>?>\n"
		"\t<jdbc ><id>one</id><password >p&amp;&lt;&#33;\r\nq</password  ><x/><y></y>"
		"<secret   k='>'>  two  </secret></jdbc>\n"
		"</facilities>\n\n</config>\n<!-- end -->\n";
	const struct sealing how = {.model = f->model, .sealer = &f->by_a};
	bool changed = false;
	char *out = file_sealed(&how, text, &changed, NULL), *again, *opened, *at;

	assert_true(changed);
	assert_lacks(out, "two");
	assert_lacks(out, "p&amp;");
	assert_has(out, "a=\"x>y\" b='\"/>'>\n   <facilities");
	assert_has(out, "<jdbc ><id>one</id><password >muster:1:246c084b:");
	assert_has(out, "</password  ><x/><y></y><secret   k='>'>muster:1:");
	assert_has(out, "</secret></jdbc>\n</facilities>\n\n</config>\n<!-- end -->\n");
	assert_int_equal(strncmp(out, text, (size_t)(strstr(text, "p&amp;") - text)), 0);
	again = file_sealed(&how, out, &changed, NULL);
	assert_false(changed);
	assert_string_equal(out, again);
	free(again);
	again = file_sealed(&how, text, NULL, NULL); /* quiet */
	assert_string_equal(out, again);
	at = strchr(out, '<');
	opened = open_text(f, at, NULL, f->a);
	assert_has(opened, "<password>p&amp;&lt;!\nq</password>");
	assert_has(opened, ">  two  </secret>");
	free(opened);
	free(again);
	free(out);
}

static void test_passed(void **state)
{
	const struct fixture *f = *state;
	static const char *const values[] = {
		"",
		" \n ",
		HASH5,
		HASH6,
		"$5$rounds=5000$abc$lNhLTkbvI1CRObt17PBY4JANoSn0agSoXLs5Fsz08o8",
		"v:S.abc-_=.def==.x/+",
		"data:text/plain;aes,v:S.d4BxYCVs==.IdBs==.ox_-",
		"data:application/p12;aes,v:S.a",
		"#{DB_PASSWORD}",
		"#{ DB_PASSWORD }",
	};
	const struct sealing none = {.model = f->model};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *text = text_format(FACILITIES("<password>%s</password>"), values[i]);
		bool changed = true;
		char *out = file_sealed(&none, text, &changed, NULL); /* not even a key is needed */
		struct findings findings = {.count = 0};

		assert_false(changed);
		assert_string_equal(out, text);
		assert_int_equal(seal_scan("t.xml", text, strlen(text), f->model, &findings), 0);
		free(out);
		free(text);
	}
}

/* Like what passes, but not it: sealed as any other value. */
static void test_nearly_passed(void **state)
{
	const struct fixture *f = *state;
	static const char *const values[] = {
		"$5$",
		"$1$salt$lNhLTkbvI1CRObt17PBY4JANoSn0agSoXLs5Fsz08o8",
		HASH5 "x",
		"x" HASH5,
		"$5$salt$short",
		"$6$salt$lNhLTkbvI1CRObt17PBY4JANoSn0agSoXLs5Fsz08o8",
		"$5$rounds=$abc$lNhLTkbvI1CRObt17PBY4JANoSn0agSoXLs5Fsz08o8",
		"v:S.",
		"v:S.a b",
		"xv:S.abc",
		"data:text/plain;aes,x",
		"data:text/plain,v:S.abc",
		"data:text plain;aes,v:S.abc",
		"v:S.abc hunter2",
		"#{}",
		"x#{",
		"#{A.b}",
		"#{A B}",
		"muster:x",
		"muster:",
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *text = text_format(FACILITIES("<password>%s</password>"), values[i]);
		struct findings findings = {.count = 0};
		char *out = seal_text(f, text), *opened = open_text(f, out, NULL, f->a);
		char *want = text_format("<password>%s</password>", values[i]);

		assert_has(out, "<password>muster:1:246c084b:");
		assert_has(opened, want);
		assert_int_equal(seal_scan("t.xml", text, strlen(text), f->model, &findings), -1);
		has_finding(&findings, "t.xml:1: /facilities/password: a secret in the clear");
		findings_clear(&findings);
		free(want);
		free(opened);
		free(out);
		free(text);
	}
}

static void test_secret_by_attribute(void **state)
{
	const struct fixture *f = *state;
	char *out = seal_text(f, FACILITIES("<x muster:secret=\"true\">hunter2</x><y>plain</y>"));

	assert_has(out, "<x muster:secret=\"true\">muster:1:");
	assert_has(out, "<y>plain</y>");
	free(out);
	refuse_file(f, FACILITIES("<x muster:secret=\"yes\">hunter2</x>"),
		    "muster:secret is \"true\"");
	refuse_file(f, FACILITIES("<x muster:secret=\"false\">hunter2</x>"),
		    "muster:secret is \"true\"");
}

static void test_faults(void **state)
{
	const struct fixture *f = *state;
	static const struct {
		const char *text, *want;
	} rows[] = {
		{FACILITIES("<password> #{A} </password>"), "blanks around"},
		{FACILITIES("<password> " HASH5 "</password>"), "blanks around"},
		{FACILITIES("<password>\n  muster:1:246c084b:xx\n</password>"), "blanks around"},
		{FACILITIES("<password>#{A | x}</password>"),
		 "only a whole #{NAME} without default"},
		{FACILITIES("<password>#{A}#{B}</password>"), "only a whole #{NAME}"},
		{FACILITIES("<password>x#{A}</password>"), "only a whole #{NAME}"},
		{FACILITIES("<password>#{MUSTER_X}</password>"), "no parameter may be named"},
		{FACILITIES("<password>#{A|}</password>"), "only a whole #{NAME} without default"},
		{FACILITIES("<password>muster:1:246c084b:xx</password>"), "damaged sealed value"},
		{FACILITIES("<password>muster:2:246c084b:xx</password>"), "a version that this"},
		{FACILITIES("<password>a<!-- c -->b</password>"),
		 "a comment within a secret value"},
		{FACILITIES("<x>muster:1:246c084b:xx</x>"), "but the leaf is no secret"},
		{FACILITIES("<x>-----BEGIN PRIVATE KEY-----\nMIIE</x>"),
		 "a private key in the clear"},
		{FACILITIES("<x>a -----BEGIN OPENSSH PRIVATE KEY-----</x>"), "a private key"},
		{FACILITIES("<x>{\"kty\":\"EC\", \"d\" : \"x\"}</x>"), "a private key"},
		{FACILITIES("<x>data:application/"
			    "pem;base64,LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg==</x>"),
		 "a private key"},
		{FACILITIES("<x>LS0tLS1CRUdJTiBQUklWQVRF\nIEtFWS0tLS0tCg==</x>"), "a private key"},
		{FACILITIES("<!-- <password>hunter2</password> -->"), "in a comment"},
		{FACILITIES("<!-- <a:password x='1'\n>hunter2</a:password> -->"), "in a comment"},
		{FACILITIES("<!-- <x muster:secret=\"true\">hunter2</x> -->"), "in a comment"},
		{FACILITIES("<?x -----BEGIN RSA PRIVATE KEY----- ?>"), "in a comment"},
		{FACILITIES("<?old <password>hunter2</password>?>"), "in a comment"},
		{FACILITIES("<y><!-- <password>x</password> --></y>"), "in a comment"},
		{"<!-- <secret>x</secret> -->" FACILITIES(""), "in a comment"},
		{FACILITIES("<x password='hunter2'/>"), "/facilities/x: a secret in an attribute"},
		{FACILITIES("<x><y a='1' n:client-secret=' hunter2 ' xmlns:n='urn:n'>1</y></x>"),
		 "/facilities/x/y: a secret in an"},
		{FACILITIES("<x secret='muster:1:246c084b:xx'/>"), "a secret in an attribute"},
		{FACILITIES("<x secret='#{A | hunter2}'/>"), "a secret in an attribute"},
		{FACILITIES("<x y='-----BEGIN PRIVATE KEY-----hunter2'/>"),
		 "a private key in the clear in an attribute"},
		{"<config xmlns='http://tail-f.com/ns/config/1.0' keystore='hunter2'/>",
		 "t.xml:1: /: a secret in an"},
		{FACILITIES("<x m:secret='true' xmlns:m='urn:muster:1'><y>hunter2</y></x>"),
		 "muster:secret is for a value"},
		{CLUSTER("<keystore>v:S.abc</keystore><host>h</host>"), "of another product"},
		{CLUSTER("<keystore>data:x;aes,v:S.abc</keystore>"), "of another product"},
		{FACILITIES("<password>"), "t.xml:1: not well-formed"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct findings findings = {.count = 0};

		refuse_file(f, rows[i].text, rows[i].want);
		if (strstr(rows[i].want, "comment within") || strstr(rows[i].want, "well-formed"))
			continue;
		assert_int_equal(
			seal_scan("t.xml", rows[i].text, strlen(rows[i].text), f->model, &findings),
			-1);
		has_finding(&findings, rows[i].want);
		for (size_t j = 0; j < findings.count; j++)
			assert_lacks(findings.lines[j], "hunter2");
		findings_clear(&findings);
	}
}

static void test_harmless(void **state)
{
	const struct fixture *f = *state;
	static const char *const rows[] = {
		FACILITIES("<!-- the password is in the safe -->"),
		FACILITIES("<!-- <password/> <password></password> <password>#{A}</password> -->"),
		FACILITIES("<!-- <passwords>x</passwords> </password> < -->"),
		FACILITIES("<x>-----BEGIN CERTIFICATE-----</x>"),
		FACILITIES("<x>{\"kty\":\"EC\",\"x\":\"y\"}</x>"),
		FACILITIES("<x>LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==</x>"),
		FACILITIES("<x>muster</x><password-only>false</password-only>"),
		FACILITIES("<password><x>an element is no value</x></password>"),
		FACILITIES("<x password='' secret='#{A}' keystore='" HASH5
			   "' passwords='a' tags='c2VjcmV0'/>"),
		FACILITIES("<x><password y='a'>#{A}</password></x>"),
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out = seal_text(f, rows[i]);

		assert_string_equal(out, rows[i]);
		free(out);
	}
}

/* A key that is a secret would be in every path. */
static void test_secret_key(void **state)
{
	struct fixture f = *(struct fixture *)*state;
	static const char lines[] = "client/id secret\n";
	struct err err = {.code = ERR_NONE};

	f.model = NULL;
	assert_int_equal(model_parse("model.conf", lines, strlen(lines), &f.model, &err), 0);
	refuse_file(&f, FACILITIES("<client><id>a</id></client>"), "the key of a list entry");
	model_free(f.model);
}

static void test_no_key(void **state)
{
	const struct fixture *f = *state;
	const struct sealing how = {.model = f->model, .sealer = &f->by_none};
	const struct sealing nobody = {.model = f->model};

	(void)file_sealed(&how, FACILITIES("<password>x</password>"), NULL,
			  "t.xml:1: there is no configuration secret");
	(void)file_sealed(&nobody, FACILITIES("<password>x</password>"), NULL, "nothing to seal");
}

/* What looks like no configuration is looked at as text. */
static void test_scan_text(void **state)
{
	const struct fixture *f = *state;
	static const struct {
		const char *text;
		bool found;
	} rows[] = {
		{"<config><password>hunter2</config>", true},
		{"<other><password>hunter2</password></other>", true},
		{"<<<<<<< HEAD\n<password>hunter2</password>\n", true},
		{"<<<<<<< HEAD\n<password>#{A}</password>\n", false},
		{"<password>", false},
		{"<password", false},
		{"", false},
		{"\xff\xfe<password>x", true},
		{"x -----BEGIN EC PRIVATE KEY-----", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct findings findings = {.count = 0};

		assert_int_equal(
			seal_scan("t.xml", rows[i].text, strlen(rows[i].text), f->model, &findings),
			rows[i].found ? -1 : 0);
		findings_clear(&findings);
	}
}

/* --- slices --- */

static void test_for_role(void **state)
{
	const struct fixture *f = *state;
	char *config = seal_text(f, FACILITIES("<jdbc><id>a</id><password>hunter2</password>"
					       "<secret>" HASH5 "</secret></jdbc>"));
	struct document *doc = parse(config);
	struct findings findings = {.count = 0};
	struct err err = {.code = ERR_NONE};
	struct keyring *role;
	struct sealer by_role;
	struct buf text;
	char *slice, *again, *opened;

	assert_int_equal(seal_for_role(doc, f->model, &f->by_a, "internal", &findings), 0);
	slice = text_of(doc);
	document_free(doc);
	assert_lacks(slice, "hunter2");
	assert_lacks(slice, "muster:1:246c084b");
	assert_has(slice, HASH5);
	doc = parse(config);
	assert_int_equal(seal_for_role(doc, f->model, &f->by_a, "internal", &findings), 0);
	again = text_of(doc);
	document_free(doc);
	assert_string_equal(slice, again); /* no release without a change */

	buf_init(&text, 4096);
	assert_int_equal(keyring_put_role(f->a, "internal", &text, &err), 0);
	role = ring_of(buf_text(&text));
	by_role = sealer_of(role);
	opened = open_text(f, slice, "internal", role);
	assert_has(opened, "<password>hunter2</password>");
	doc = parse(slice);
	assert_int_equal(seal_check(doc, f->model, &by_role, "internal", &findings), 0);
	assert_int_equal(seal_check(doc, f->model, &by_role, "default", &findings), -1);
	has_finding(&findings, "only keys of other roles");
	findings_clear(&findings);
	assert_int_equal(seal_check(doc, f->model, &f->by_a, "default", &findings), -1);
	has_finding(&findings, "/facilities/jdbc[a]/password: sealed with key");
	findings_clear(&findings);
	assert_int_equal(seal_check(doc, f->model, &f->by_none, "internal", &findings), -1);
	has_finding(&findings, "there is no secret here to open it with");
	findings_clear(&findings);
	document_free(doc);

	seal_wipe(&text);
	keyring_free(role);
	free(opened);
	free(again);
	free(slice);
	free(config);
}

static void refuse_slice(const struct fixture *f, const char *text, const char *want)
{
	struct document *doc = parse(text);
	struct findings findings = {.count = 0};

	assert_int_equal(seal_check(doc, f->model, &f->by_a, "internal", &findings), -1);
	has_finding(&findings, want);
	findings_clear(&findings);
	document_free(doc);
}

static char *slice_of(const struct fixture *f, const char *role, const char *text)
{
	struct document *doc = parse(text);
	struct findings findings = {.count = 0};
	char *out;

	assert_int_equal(seal_for_role(doc, f->model, &f->by_a, role, &findings), 0);
	out = text_of(doc);
	document_free(doc);
	return out;
}

/* Every way in which a sealed value can be wrong in a slice. */
static void test_bad_slices(void **state)
{
	const struct fixture *f = *state;
	static const char one[] =
		FACILITIES("<jdbc><id>a</id><password>hunter2</password></jdbc>"
			   "<jdbc><id>b</id><password>hunter3</password></jdbc>");
	char *slice = slice_of(f, "internal", one), *other = slice_of(f, "default", one);
	char *from = strstr(slice, "muster:1:"), *end = strchr(from, '<'), *copy;
	char *second = strstr(end, "muster:1:");
	struct buf sealed;

	copy = text_format("%.*s%.*s%s", (int)(second - slice), slice, (int)(end - from), from,
			   strchr(second, '<'));
	refuse_slice(f, copy, "/facilities/jdbc[b]/password: does not open");
	free(copy);
	refuse_slice(f, other, "sealed with key");
	refuse_slice(f, one, "/facilities/jdbc[a]/password: a secret in the clear");
	/* where none may be, and what no leaf may hold in the clear */
	copy = text_format(FACILITIES("<word>%.*s</word>"), (int)(end - from), from);
	refuse_slice(f, copy, "/facilities/word: a sealed value, but the leaf is no secret");
	free(copy);
	refuse_slice(f, FACILITIES("<word>-----BEGIN PRIVATE KEY-----</word>"),
		     "/facilities/word: a private key in the clear");
	refuse_slice(f, FACILITIES("<password>#{A | b}</password>"), "only a whole #{NAME}");
	/* well sealed, and nothing that a leaf can hold */
	buf_init(&sealed, 4096);
	assert_int_equal(keyring_seal(f->a, SCOPE_ROLE "internal",
				      "/{https:\\/\\/curity.se\\/ns\\/conf\\/base}facilities"
				      "/{https:\\/\\/curity.se\\/ns\\/conf\\/base}password",
				      "a\001b", 3, &sealed, NULL),
			 0);
	copy = text_format(FACILITIES("<password>%s</password>"), buf_text(&sealed));
	refuse_slice(f, copy, "/facilities/password: what is sealed is no text");
	free(copy);
	buf_clear(&sealed);
	for (char *at = from; at < end; at++)
		for (int bit = 0; bit < 7; bit++) {
			char was = *at;

			*at = (char)(was ^ 1 << bit);
			if (((unsigned char)*at > ' ' && !strchr("<>&", *at)) || *at == ' ')
				refuse_slice(f, slice, "/facilities/jdbc[a]/password: ");
			*at = was;
		}
	free(slice);
	free(other);
}

static void test_reseal_refused(void **state)
{
	const struct fixture *f = *state;
	char *config = seal_text(f, FACILITIES("<password>hunter2</password>"));
	struct document *doc = parse(config);
	struct findings findings = {.count = 0};

	assert_int_equal(seal_for_role(doc, f->model, &f->by_b, "internal", &findings), -1);
	has_finding(&findings, "t.xml:1: /facilities/password: sealed with key 246c084b, which");
	document_free(doc);
	findings_clear(&findings);
	free(config);
	doc = parse(FACILITIES("<password>#{A | b}</password>"));
	assert_int_equal(seal_for_role(doc, f->model, &f->by_a, "internal", &findings), -1);
	has_finding(&findings, "t.xml:1: /facilities/password: in a secret only a whole #{NAME}");
	document_free(doc);
	findings_clear(&findings);
}

static void test_open_document(void **state)
{
	const struct fixture *f = *state;
	char *config = seal_text(f, FACILITIES("<password>hunter2</password><secret>x</secret>"));
	struct document *doc = parse(config);
	struct err err = {.code = ERR_NONE};

	assert_int_equal(seal_open_document(doc, f->model, f->b, NULL, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_has(err.text, "t.xml:1: /facilities/password: sealed with key");
	assert_int_equal(seal_open_document(doc, f->model, f->a, "internal", &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(seal_open_document(doc, f->model, f->a, NULL, &err), 0);
	assert_int_equal(seal_open_document(doc, f->model, f->a, NULL, &err),
			 0); /* nothing is left */
	seal_document_free(doc, f->model);
	seal_document_free(NULL, f->model);
	free(config);
}

static void test_cluster(void **state)
{
	const struct fixture *f = *state;
	char *text = seal_text(f, CLUSTER("<keystore>muster-cluster:1:x</keystore><host>h</host>"
					  "<secret>y</secret>"));
	struct document *doc = parse(text);
	struct err err = {.code = ERR_NONE};
	char *out;

	assert_lacks(text, "muster-cluster");
	assert_int_equal(seal_open_cluster(doc, f->model, &f->by_b, NULL, &err), -1);
	assert_int_equal(seal_open_cluster(doc, f->model, &f->by_a, NULL, &err), 0);
	out = text_of(doc);
	assert_has(out, "<keystore>muster-cluster:1:x</keystore>");
	assert_lacks(out, "<secret>y");
	free(out);
	seal_document_free(doc, f->model);
	free(text);
}

/* --- keys and places that change --- */

static void test_renew(void **state)
{
	const struct fixture *f = *state;
	struct keyring *both = ring_of(B "," A);
	const struct sealer by_both = sealer_of(both);
	const struct sealing how = {.model = f->model, .sealer = &by_both, .renew = true};
	const struct sealing keep = {.model = f->model, .sealer = &by_both};
	char *old = seal_text(f, FACILITIES("<password>hunter2</password>"));
	bool changed = false;
	char *same = file_sealed(&keep, old, &changed, NULL), *new, *again, *opened;

	assert_false(changed);
	assert_string_equal(same, old);
	new = file_sealed(&how, old, &changed, NULL);
	assert_true(changed);
	assert_lacks(new, "246c084b");
	opened = open_text(f, new, NULL, f->b);
	assert_has(opened, "hunter2");
	again = file_sealed(&how, new, &changed, NULL);
	assert_false(changed);
	assert_string_equal(again, new);
	free(old);
	free(same);
	free(new);
	free(again);
	free(opened);
	keyring_free(both);
}

struct moving {
	const struct sealer *sealer;
	const char *from; /* the path it was at, or NULL: it may not move */
	unsigned asked;
};

static int moved(void *arg, const char *text, const char *path, struct buf *out)
{
	struct moving *moving = arg;

	moving->asked++;
	assert_has(path, "jdbc[b]");
	return moving->from ? moving->sealer->open(moving->sealer->arg, SCOPE_CONFIG, moving->from,
						   text, out, NULL)
			    : -1;
}

static void test_moved(void **state)
{
	const struct fixture *f = *state;
	struct moving moving = {
		.sealer = &f->by_a,
		.from = "/{https:\\/\\/curity.se\\/ns\\/conf\\/base}facilities"
			"/{https:\\/\\/curity.se\\/ns\\/conf\\/base}jdbc[a]"
			"/{https:\\/\\/curity.se\\/ns\\/conf\\/base}password"};
	const struct sealing how = {
		.model = f->model, .sealer = &f->by_a, .moved = moved, .arg = &moving};
	char *at_a =
		seal_text(f, FACILITIES("<jdbc><id>a</id><password>hunter2</password></jdbc>"));
	char *at_b = text_copy(at_a), *sealed, *opened;
	bool changed = false;

	memcpy(strstr(at_b, "<id>a"), "<id>b", 5);
	sealed = file_sealed(&how, at_a, &changed, NULL);
	assert_false(changed);
	assert_int_equal(moving.asked, 0);
	free(sealed);
	sealed = file_sealed(&how, at_b, &changed, NULL);
	assert_true(changed);
	opened = open_text(f, sealed, NULL, f->a);
	assert_has(opened, "<id>b</id>");
	assert_has(opened, "<password>hunter2</password>");
	free(opened);
	free(sealed);
	moving.from = NULL;
	sealed = file_sealed(&how, at_b, &changed, NULL);
	assert_false(changed); /* the check refuses it */
	assert_string_equal(sealed, at_b);
	free(sealed);
	free(at_a);
	free(at_b);
}

static void has_foreign_keystore(const struct document *doc, const struct model *model)
{
	struct findings findings = {.count = 0};
	char *text = text_of(doc);

	assert_int_equal(seal_scan("x", text, strlen(text), model, &findings), -1);
	has_finding(&findings, "keystore: this is the keystore of another product");
	findings_clear(&findings);
	free(text);
}

/* Every configuration of the corpus: sealed, opened again it is what it was. */
static void corpus_one(const char *name, struct document *doc, const struct model *model)
{
	struct keyring *ring = ring_of(A);
	const struct sealer sealer = sealer_of(ring);
	const struct sealing how = {.model = model, .sealer = &sealer};
	struct findings findings = {.count = 0};
	struct err err = {.code = ERR_NONE};
	struct document *sealed = NULL, *slice;
	char *before = text_of(doc), *after;
	struct buf out;
	bool changed;

	if (strcmp(name, "cluster") == 0) { /* whose keystore is the other product's */
		has_foreign_keystore(doc, model);
		free(before);
		keyring_free(ring);
		return;
	}
	buf_init(&out, 64u << 20);
	if (seal_file(name, before, strlen(before), &how, &out, &changed, &findings, &err) != 0)
		fail_msg("%s: %s", name, findings.count ? findings.lines[0] : err.text);
	assert_int_equal(seal_scan(name, out.data, out.len, model, &findings), 0);
	if (document_parse(name, out.data, out.len, &sealed, &err) != 0)
		fail_msg("%s", err.text);
	slice = document_copy(sealed);
	assert_int_equal(seal_for_role(slice, model, &sealer, "default", &findings), 0);
	assert_int_equal(seal_check(slice, model, &sealer, "default", &findings), 0);
	assert_int_equal(seal_open_document(slice, model, ring, "default", &err), 0);
	assert_int_equal(seal_open_document(sealed, model, ring, NULL, &err), 0);
	after = text_of(sealed);
	assert_string_equal(after, before);
	free(after);
	after = text_of(slice);
	assert_string_equal(after, before);
	free(after);
	free(before);
	seal_document_free(sealed, model);
	seal_document_free(slice, model);
	buf_clear(&out);
	keyring_free(ring);
}

static void test_corpus(void **state)
{
	(void)state;
	each_of_corpus(corpus_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_nearly_passed),	cmocka_unit_test(test_secret_by_attribute),
		cmocka_unit_test(test_faults),		cmocka_unit_test(test_harmless),
		cmocka_unit_test(test_secret_key),	cmocka_unit_test(test_no_key),
		cmocka_unit_test(test_scan_text),	cmocka_unit_test(test_for_role),
		cmocka_unit_test(test_bad_slices),	cmocka_unit_test(test_reseal_refused),
		cmocka_unit_test(test_open_document),	cmocka_unit_test(test_cluster),
		cmocka_unit_test(test_renew),		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_corpus),
	};

	crypto_setup();
	config_setup();
	return cmocka_run_group_tests(tests, setup, teardown);
}
