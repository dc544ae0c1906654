# A configuration of a given size for the benches: awk -v files=10 -v bytes=1000000 [-v secrets=200] -v folder=F -f this.
# One file has the environment and its roles (four, or -v roles=N). Each other one is what a team would have: a profile of tokens with its
# clients and endpoints, a profile of sign-in with its authenticators, and the facilities of both. The endpoints of the file
# number N are those of the role N % roles, so that a change of one client is one of one role. Nothing is random.

function put(line) { size += length(line) + 1; print line >file }

function leaf(indent, name, text) { put(sprintf("%*s<%s>%s</%s>", indent, "", name, text, name)) }

function begin(name) { file = folder "/" name; size = 0; put("<config xmlns=\"http://tail-f.com/ns/config/1.0\">") }

function finish() { put("</config>"); close(file) }

# A secret a client would have; what it is does not matter.
function secret(text) { given++; return sprintf("%08x-%08x-%s", given * 2654435761 % 4294967296, given * 40503, text) }

function environment(  role, n) {
	begin("00-environment.xml")
	put("  <environments xmlns=\"https://curity.se/ns/conf/base\">")
	put("    <environment>")
	leaf(6, "base-url", "https://login.example.com")
	put("      <services>")
	put("        <zones>\n          <default-zone>\n            <symmetric-key>" secret("zone") "</symmetric-key>\n          </default-zone>\n        </zones>")
	for (role = 0; role < roles; role++) {
		put("        <service-role>")
		leaf(10, "id", "role-" role)
		leaf(10, "location", "Network " role)
		leaf(10, "protocol", "https")
		leaf(10, "ssl-server-keystore", "tls-" role)
		leaf(10, "port", 8440 + role)
		for (n = 1; n < files; n++)
			if (n % roles == role) {
				leaf(10, "endpoints", "tokens-" n "-token")
				leaf(10, "endpoints", "tokens-" n "-introspect")
				leaf(10, "endpoints", "login-" n "-authenticate")
			}
		put("        </service-role>")
	}
	put("      </services>\n    </environment>\n  </environments>")
	put("  <facilities xmlns=\"https://curity.se/ns/conf/base\">\n    <crypto>\n      <ssl>")
	for (role = 0; role <= roles; role++)
		put("        <server-keystore>\n          <id>tls-" role "</id>\n          <keystore>" secret("tls") "</keystore>\n        </server-keystore>")
	put("      </ssl>\n    </crypto>\n  </facilities>")
	finish()
}

function client(n, i, secretive) {
	put("              <client>")
	leaf(16, "id", sprintf("team-%d-client-%05d", n, i))
	leaf(16, "client-name", "Client " i " of team " n)
	leaf(16, "description", "Orders &amp; invoices: asks for tokens in the name of its users and calls the services of the team")
	if (secretive)
		leaf(16, "secret", secret("client"))
	else
		leaf(16, "no-authentication", "true")
	for (u = 0; u < 3; u++)
		leaf(16, "redirect-uris", "https://app-" i "-" u ".team-" n ".example.com/callback")
	leaf(16, "access-token-ttl", 300 + i % 7)
	leaf(16, "refresh-token-ttl", "3600")
	leaf(16, "scope", "openid")
	leaf(16, "scope", "orders-" n)
	leaf(16, "scope", "invoices-" n)
	leaf(16, "http-client", "calls-" n "-" i % 10)
	put("                <user-authentication>\n                  <allowed-authenticators>form-" n "</allowed-authenticators>")
	put("                  <allowed-post-logout-redirect-uris>https://app-" i ".team-" n ".example.com/bye</allowed-post-logout-redirect-uris>")
	put("                </user-authentication>")
	put("                <capabilities>\n                  <code/>\n                  <token-exchange/>\n                </capabilities>")
	put("                <validate-port-on-loopback-interfaces>true</validate-port-on-loopback-interfaces>")
	put("              </client>")
}

function endpoint(id, uri, kind) {
	put("        <endpoint>")
	leaf(10, "id", id)
	leaf(10, "uri", uri)
	leaf(10, "endpoint-kind", kind)
	put("        </endpoint>")
}

function tokens(n, room, clients,  i) {
	put("    <profile>")
	leaf(6, "id", "tokens-" n)
	put("      <type xmlns:as=\"https://curity.se/ns/conf/profile/oauth\">as:oauth-service</type>")
	put("      <settings>\n        <authorization-server xmlns=\"https://curity.se/ns/conf/profile/oauth\">")
	put("          <scopes>")
	put("            <scope>\n              <id>orders-" n "</id>\n              <claims>customer</claims>\n              <claims>region</claims>\n            </scope>")
	put("            <scope>\n              <id>invoices-" n "</id>\n              <claims>department</claims>\n            </scope>")
	put("          </scopes>")
	put("          <token-issuers>\n            <default-token-issuer>\n              <default-data-source>tokens-db-" n "</default-data-source>\n            </default-token-issuer>")
	put("            <jwt-issuer-settings>\n              <signing-key-id>signs-" n "</signing-key-id>\n            </jwt-issuer-settings>\n          </token-issuers>")
	put("          <client-store>\n            <config-backed>")
	for (i = 0; size < room; i++)
		client(n, i, i < clients)
	put("            </config-backed>\n          </client-store>\n        </authorization-server>\n      </settings>")
	put("      <endpoints>")
	endpoint("tokens-" n "-token", "/" n "/token", "oauth-token")
	endpoint("tokens-" n "-introspect", "/" n "/introspect", "oauth-introspect")
	endpoint("tokens-" n "-spare", "/" n "/spare", "oauth-userinfo")
	put("      </endpoints>\n    </profile>")
}

function login(n) {
	put("    <profile>")
	leaf(6, "id", "login-" n)
	put("      <type xmlns:auth=\"https://curity.se/ns/conf/profile/authentication\">auth:authentication-service</type>")
	put("      <settings>\n        <authentication-service xmlns=\"https://curity.se/ns/conf/profile/authentication\">\n          <authenticators>")
	put("            <authenticator>\n              <id>form-" n "</id>\n              <html-form xmlns=\"https://curity.se/ns/ext-conf/html-form\">")
	put("                <account-manager>people-" n "</account-manager>\n                <credential-manager>passwords-" n "</credential-manager>")
	put("              </html-form>\n            </authenticator>")
	put("          </authenticators>\n        </authentication-service>\n      </settings>\n      <endpoints>")
	endpoint("login-" n "-authenticate", "/" n "/login", "auth-authentication")
	put("      </endpoints>\n    </profile>")
}

function source(id) {
	put("      <data-source>\n        <id>" id "</id>\n        <jdbc xmlns=\"https://curity.se/ns/ext-conf/jdbc\">")
	leaf(10, "connection-string", secret("jdbc:postgresql://db.example.com/" id))
	leaf(10, "username", id)
	put("        </jdbc>\n      </data-source>")
}

function facilities(n,  i) {
	put("  <processing xmlns=\"https://curity.se/ns/conf/base\">")
	put("    <account-managers>\n      <account-manager>\n        <id>people-" n "</id>\n        <account-data-source>people-db-" n "</account-data-source>\n      </account-manager>\n    </account-managers>")
	put("    <credential-managers>\n      <credential-manager>\n        <id>passwords-" n "</id>\n        <data-source>people-db-" n "</data-source>\n      </credential-manager>\n    </credential-managers>")
	put("  </processing>")
	put("  <facilities xmlns=\"https://curity.se/ns/conf/base\">\n    <http>")
	for (i = 0; i < 10; i++)
		put("      <client>\n        <id>calls-" n "-" i "</id>\n        <description>Calls service " i "</description>\n      </client>")
	put("    </http>\n    <data-sources>")
	source("tokens-db-" n)
	source("people-db-" n)
	source("spare-db-" n)
	put("    </data-sources>\n    <crypto>\n      <signing-keys>\n        <signing-key>\n          <id>signs-" n "</id>\n          <keystore>" secret("signs") "</keystore>\n        </signing-key>\n      </signing-keys>\n    </crypto>")
	put("  </facilities>")
}

BEGIN {
	if (!roles)
		roles = 4
	environment()
	for (n = 1; n < files; n++) {
		begin(sprintf("%02d-team.xml", n))
		facilities(n)
		put("  <profiles xmlns=\"https://curity.se/ns/conf/base\">")
		login(n)
		tokens(n, bytes / (files - 1) - 900, secrets ? int((secrets - given) / (files - n)) : 2)
		put("  </profiles>")
		finish()
	}
	if (secrets && given != secrets) {
		print given " secrets, not " secrets >"/dev/stderr"
		exit 1
	}
}
