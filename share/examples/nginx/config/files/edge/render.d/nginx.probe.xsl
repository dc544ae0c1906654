<?xml version="1.0" encoding="UTF-8"?>
<!-- And nginx.probe: what health.d asks for, `ADDRESS PORT URI TEXT` a line; any text will do if there is none. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:b="https://curity.se/ns/conf/base" xmlns:w="urn:example:web">
  <xsl:output method="text"/>

  <xsl:template match="/">
    <xsl:variable name="role" select="//b:services/b:service-role"/>
    <xsl:for-each select="//b:profile/b:endpoints/b:endpoint[b:id = $role/b:endpoints]">
      <xsl:value-of select="concat($role/w:listen, ' ', $role/b:port, ' ', b:uri)"/>
      <!-- the first line, if nginx puts nothing of its own into it -->
      <xsl:if test="not(contains(w:text, '$'))">
        <xsl:value-of select="concat(' ', substring-before(concat(w:text, '&#10;'), '&#10;'))"/>
      </xsl:if>
      <xsl:text>&#10;</xsl:text>
    </xsl:for-each>
  </xsl:template>
</xsl:stylesheet>
