<?xml version="1.0" encoding="UTF-8"?>
<!-- The node's plain copy gets nginx.conf: a server with a location for each endpoint that the role lists. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:b="https://curity.se/ns/conf/base" xmlns:w="urn:example:web">
  <xsl:output method="text"/>

  <xsl:template match="/">
    <xsl:variable name="role" select="//b:services/b:service-role"/>
    <xsl:text># made by Muster: change the configuration, not this file
worker_processes auto;
events { worker_connections 1024; }
http {
	default_type text/plain;
	server_tokens off;
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	proxy_connect_timeout 2s;
	server {
		listen </xsl:text>
    <xsl:value-of select="concat($role/w:listen, ':', $role/b:port)"/>
    <xsl:text>;
</xsl:text>
    <xsl:apply-templates select="//b:profile/b:endpoints/b:endpoint[b:id = $role/b:endpoints]"/>
    <xsl:text>	}
}
</xsl:text>
  </xsl:template>

  <xsl:template match="b:endpoint[w:text]">
    <xsl:text>		location = </xsl:text>
    <xsl:call-template name="quote"><xsl:with-param name="text" select="b:uri"/></xsl:call-template>
    <xsl:text> { return 200 </xsl:text>
    <!-- Variables of nginx may stand in it; with one that it does not know nginx refuses the release. -->
    <xsl:call-template name="quote"><xsl:with-param name="text" select="concat(w:text, '&#10;')"/></xsl:call-template>
    <xsl:text>; }
</xsl:text>
  </xsl:template>

  <xsl:template match="b:endpoint[w:upstream]">
    <xsl:text>		location </xsl:text>
    <xsl:call-template name="quote"><xsl:with-param name="text" select="b:uri"/></xsl:call-template>
    <xsl:text> { proxy_pass </xsl:text>
    <xsl:call-template name="quote"><xsl:with-param name="text" select="w:upstream"/></xsl:call-template>
    <xsl:text>; }
</xsl:text>
  </xsl:template>

  <xsl:template match="b:endpoint">
    <xsl:message terminate="yes">endpoint <xsl:value-of select="b:id"/> has neither text nor upstream</xsl:message>
  </xsl:template>

  <!-- So that no value ends the string that it stands in. -->
  <xsl:template name="quote">
    <xsl:param name="text"/>
    <xsl:text>"</xsl:text>
    <xsl:call-template name="escape"><xsl:with-param name="text" select="$text"/></xsl:call-template>
    <xsl:text>"</xsl:text>
  </xsl:template>

  <xsl:template name="escape">
    <xsl:param name="text"/>
    <!-- What stands before the first " or \ -->
    <xsl:variable name="start" select="substring-before(concat(translate($text, '\', '&quot;'), '&quot;'), '&quot;')"/>
    <xsl:variable name="rest" select="substring($text, string-length($start) + 1)"/>
    <xsl:value-of select="$start"/>
    <xsl:if test="$rest">
      <xsl:value-of select="concat('\', substring($rest, 1, 1))"/>
      <xsl:call-template name="escape"><xsl:with-param name="text" select="substring($rest, 2)"/></xsl:call-template>
    </xsl:if>
  </xsl:template>
</xsl:stylesheet>
