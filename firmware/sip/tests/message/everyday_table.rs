//! The table of `everyday`: messages written for this test, and what a phone must learn from each.

use crate::everyday::{Case, case};

/// Facts rsip has a way to report; the others (compact Event, Content-Type's bare name …) are not
/// held against it.
pub(crate) const KNOWN_TO_RSIP: &str = "\
    method code uri.user uri.host uri.port via.transport via.host via.port via.branch via.received \
    call-id cseq max-forwards expires from.display from.user from.host from.tag to.display to.user \
    to.host to.tag contact.display contact.user contact.host contact.port contact.instance \
    contact.expires routes record-routes refer-to.user refer-to.host refer-to.replaces \
    challenge.realm challenge.nonce challenge.algorithm user-agent headers body";

/// Messages rsip 0.4 cannot read right, and messages in all.
pub(crate) const RSIP_FAILS: (usize, usize) = (18, 43);

pub(crate) const CASES: &[Case] = &[
    case(
        "register",
        r"REGISTER sip:example.com SIP/2.0
$VIA
$FROM
To: <sip:alice@example.com>
$CALL
CSeq: 1 REGISTER
$CONTACT
Expires: 300
User-Agent: Desk phone 1.0",
        b"",
        r"method=REGISTER | uri.host=example.com | via.host=192.0.2.4 | via.port=5060 | from.display=Alice | to.user=alice | contact.host=192.0.2.4 | contact.port=5060 | expires=300 | user-agent=Desk phone 1.0 | headers=10",
    ),
    case(
        "register for outbound, with instance",
        r#"REGISTER sip:example.com SIP/2.0
$VIA
$FROM
To: <sip:alice@example.com>
$CALL
CSeq: 1 REGISTER
Contact: <sip:alice@192.0.2.4:5060>;reg-id=1;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";expires=300
Supported: path, outbound, gruu"#,
        b"",
        r#"method=REGISTER | contact.host=192.0.2.4 | contact.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>" | contact.expires=300"#,
    ),
    case(
        "401 with MD5",
        r#"SIP/2.0 401 Unauthorized
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds;received=198.51.100.7;rport=40000
$FROM
To: <sip:alice@example.com>;tag=9
$CALL
CSeq: 1 REGISTER
WWW-Authenticate: Digest realm="example.com", nonce="dcd98b71", algorithm=MD5, qop="auth""#,
        b"",
        r"code=401 | via.received=198.51.100.7 | challenge.realm=example.com | challenge.nonce=dcd98b71 | challenge.algorithm=MD5",
    ),
    case(
        "401 with SHA-256",
        r#"SIP/2.0 401 Unauthorized
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds;received=198.51.100.7;rport=40000
$FROM
To: <sip:alice@example.com>;tag=9
$CALL
CSeq: 1 REGISTER
WWW-Authenticate: Digest realm="example.com", nonce="dcd98b71", algorithm=SHA-256, qop="auth""#,
        b"",
        r"code=401 | challenge.realm=example.com | challenge.algorithm=SHA-256",
    ),
    case(
        "401 with SHA-512-256 before MD5",
        r#"SIP/2.0 401 Unauthorized
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds;received=198.51.100.7;rport=40000
$FROM
To: <sip:alice@example.com>;tag=9
$CALL
CSeq: 1 REGISTER
WWW-Authenticate: Digest realm="example.com", nonce="a", algorithm=SHA-512-256, qop="auth"
WWW-Authenticate: Digest realm="example.com", nonce="b", algorithm=MD5, qop="auth""#,
        b"",
        r"code=401 | challenge.nonce=a | challenge.algorithm=SHA-512-256",
    ),
    case(
        "200 to register with two bindings in one line",
        r"SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds
$FROM
To: <sip:alice@example.com>;tag=9
$CALL
CSeq: 2 REGISTER
Contact: <sip:alice@192.0.2.4:5060>;expires=300, <sip:alice@192.0.2.8>;expires=120
Date: Sat, 13 Nov 2010 23:29:00 GMT",
        b"",
        r"code=200 | contact.host=192.0.2.4 | contact.port=5060 | contact.expires=300",
    ),
    case(
        "invite",
        r"INVITE sip:bob@example.net SIP/2.0
$VIA
$FROM
$TO
$CALL
CSeq: 314159 INVITE
$CONTACT
Content-Type: application/sdp",
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
          m=audio 20000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        r"method=INVITE | uri.user=bob | uri.host=example.net | via.transport=UDP | via.branch=z9hG4bK776asdhds | from.user=alice | from.host=example.com | to.user=bob | cseq=314159 INVITE | max-forwards=70 | content-type=application/sdp | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite in compact form",
        r#"INVITE sip:bob@example.net SIP/2.0
v: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds;rport
Max-Forwards: 70
f: "Alice" <sip:alice@example.com>;tag=1928301774
t: <sip:bob@example.net>
i: a84b4c76e66710@192.0.2.4
CSeq: 1 INVITE
m: <sip:alice@192.0.2.4:5060>
k: 100rel, timer
s: lunch
c: application/sdp"#,
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
          m=audio 20000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        r"method=INVITE | via.host=192.0.2.4 | from.display=Alice | contact.host=192.0.2.4 | subject=lunch | content-type=application/sdp | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite with folded headers",
        r#"INVITE sip:bob@example.net SIP/2.0
Via: SIP/2.0/UDP 192.0.2.4:5060
 ;branch=z9hG4bK776asdhds
 ;rport
Max-Forwards: 70
From: "Alice"
	<sip:alice@example.com>
 ;tag=1928301774
$TO
$CALL
CSeq: 1 INVITE
$CONTACT
Subject: a long
 story"#,
        b"",
        r"method=INVITE | via.branch=z9hG4bK776asdhds | from.display=Alice | subject=a long story | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite with names in lower case",
        r"INVITE sip:bob@example.net SIP/2.0
via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds
max-forwards: 70
from: <sip:alice@example.com>;tag=1928301774
to: <sip:bob@example.net>
call-id: a84b4c76e66710@192.0.2.4
cseq: 1 INVITE
contact: <sip:alice@192.0.2.4>",
        b"",
        r"method=INVITE | via.host=192.0.2.4 | contact.host=192.0.2.4 | max-forwards=70 | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite to an IPv6 address",
        r"INVITE sip:bob@[2001:db8::10] SIP/2.0
Via: SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bKas3-111
Max-Forwards: 70
From: <sip:alice@[2001:db8::9:1]>;tag=81x2
To: <sip:bob@[2001:db8::10]>
$CALL
CSeq: 1 INVITE
Contact: <sip:alice@[2001:db8::9:1]:5060>",
        b"",
        r"method=INVITE | uri.user=bob | uri.host=[2001:db8::10] | via.host=[2001:db8::9:1] | via.port=5060 | contact.host=[2001:db8::9:1] | contact.port=5060 | from.tag=81x2",
    ),
    case(
        "invite to an IPv6 address with port and TCP",
        r"INVITE sip:bob@[2001:db8::10]:5070;transport=tcp SIP/2.0
Via: SIP/2.0/TCP [2001:db8::9:1];branch=z9hG4bKas3-111
Max-Forwards: 70
$FROM
$TO
$CALL
CSeq: 1 INVITE
$CONTACT",
        b"",
        r"method=INVITE | uri.host=[2001:db8::10] | uri.port=5070 | via.transport=TCP",
    ),
    case(
        "invite to a telephone number",
        r"INVITE tel:+1-201-555-0123 SIP/2.0
$VIA
$FROM
To: <tel:+1-201-555-0123>
$CALL
CSeq: 1 INVITE
$CONTACT",
        b"",
        r"method=INVITE | uri.user=+12015550123 | to.user=+12015550123 | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite from a telephone number",
        r"INVITE sip:bob@example.net SIP/2.0
$VIA
From: <tel:+498912345>;tag=1928301774
$TO
$CALL
CSeq: 1 INVITE
$CONTACT",
        b"",
        r"method=INVITE | from.user=+498912345 | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite from a name with comma and quotes",
        r#"INVITE sip:bob@example.net SIP/2.0
$VIA
From: "Bell, \"Alexander\"" <sip:alice@example.com>;tag=1928301774
$TO
$CALL
CSeq: 1 INVITE
$CONTACT"#,
        b"",
        r#"method=INVITE | from.display=Bell, "Alexander" | from.user=alice | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4"#,
    ),
    case(
        "invite from a name with an angle bracket",
        r#"INVITE sip:bob@example.net SIP/2.0
$VIA
From: "a <b> c" <sip:alice@example.com>;tag=1928301774
$TO
$CALL
CSeq: 1 INVITE
$CONTACT"#,
        b"",
        r"method=INVITE | from.display=a <b> c | from.user=alice | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite with bare addresses",
        r"INVITE sip:bob@example.net SIP/2.0
$VIA
From: sip:alice@example.com;tag=1928301774
To: sip:bob@example.net
$CALL
CSeq: 1 INVITE
$CONTACT",
        b"",
        r"method=INVITE | from.user=alice | to.host=example.net | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite with semicolon parameters in the user",
        r"INVITE sip:+12015550123;phone-context=example.com@gw.example.net;user=phone SIP/2.0
$VIA
$FROM
To: <sip:+12015550123;phone-context=example.com@gw.example.net;user=phone>
$CALL
CSeq: 1 INVITE
$CONTACT",
        b"",
        r"method=INVITE | uri.user=+12015550123;phone-context=example.com | uri.host=gw.example.net | to.host=gw.example.net",
    ),
    case(
        "invite with two Via in one line",
        r"INVITE sip:bob@example.net SIP/2.0
Via: SIP/2.0/UDP proxy.example.net;branch=z9hG4bK1;received=198.51.100.7, SIP/2.0/TCP 192.0.2.4;branch=z9hG4bK2
Max-Forwards: 69
$FROM
$TO
$CALL
CSeq: 1 INVITE
$CONTACT",
        b"",
        r"method=INVITE | vias=2 | via.host=proxy.example.net | via.branch=z9hG4bK1 | via.received=198.51.100.7 | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite through two proxies with routes",
        r"INVITE sip:bob@example.net SIP/2.0
Via: SIP/2.0/UDP p2.example.net;branch=z9hG4bK3
Via: SIP/2.0/UDP 192.0.2.4;branch=z9hG4bK776asdhds;received=192.0.2.4
Max-Forwards: 68
Record-Route: <sip:p2.example.net;lr>
Record-Route: <sip:p1.example.com;lr>
$FROM
$TO
$CALL
CSeq: 1 INVITE
$CONTACT",
        b"",
        r"method=INVITE | vias=2 | via.host=p2.example.net | record-routes=p2.example.net p1.example.com | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "180 with record routes in one line",
        r"SIP/2.0 180 Ringing
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds;received=192.0.2.4
Record-Route: <sip:p2.example.net;lr>, <sip:p1.example.com;lr>
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 1 INVITE
Contact: <sip:bob@192.0.2.8>",
        b"",
        r"code=180 | record-routes=p2.example.net p1.example.com | to.tag=a6c85cf | contact.host=192.0.2.8 | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "183 with early media",
        r"SIP/2.0 183 Session Progress
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 1 INVITE
Contact: <sip:bob@192.0.2.8;transport=udp>
Require: 100rel
RSeq: 813520
Content-Type: application/sdp",
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
          m=audio 20000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        r"code=183 | to.tag=a6c85cf | contact.host=192.0.2.8 | cseq=1 INVITE | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "200 to invite",
        r"SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 1 INVITE
Contact: <sip:bob@192.0.2.8:5062>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS
Content-Type: application/sdp",
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
          m=audio 20000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        r"code=200 | contact.port=5062 | to.tag=a6c85cf | cseq=1 INVITE | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "ack",
        r"ACK sip:bob@192.0.2.8:5062 SIP/2.0
$VIA
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 1 ACK",
        b"",
        r"method=ACK | uri.port=5062 | cseq=1 ACK | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "bye along a route set",
        r#"BYE sip:bob@192.0.2.8 SIP/2.0
$VIA
Route: <sip:p1.example.com;lr>, <sip:p2.example.net;lr>
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 2 BYE
Reason: Q.850;cause=16;text="Terminated""#,
        b"",
        r"method=BYE | routes=p1.example.com p2.example.net | to.tag=a6c85cf | cseq=2 BYE",
    ),
    case(
        "cancel",
        r"CANCEL sip:bob@example.net SIP/2.0
$VIA
$FROM
$TO
$CALL
CSeq: 1 CANCEL",
        b"",
        r"method=CANCEL | cseq=1 CANCEL | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "options",
        r"OPTIONS sip:bob@example.net SIP/2.0
$VIA
$FROM
$TO
$CALL
CSeq: 1 OPTIONS
Accept: application/sdp",
        b"",
        r"method=OPTIONS | uri.host=example.net | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "refer",
        r"REFER sip:bob@192.0.2.8 SIP/2.0
$VIA
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 3 REFER
$CONTACT
Refer-To: <sip:carol@example.org>
Referred-By: <sip:alice@example.com>",
        b"",
        r"method=REFER | refer-to.user=carol | refer-to.host=example.org | cseq=3 REFER",
    ),
    case(
        "refer with Replaces",
        r"REFER sip:bob@192.0.2.8 SIP/2.0
$VIA
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 3 REFER
$CONTACT
Refer-To: <sip:carol@192.0.2.16?Replaces=90abc%40192.0.2.4%3Bto-tag%3D7%3Bfrom-tag%3D6>",
        b"",
        r"method=REFER | refer-to.user=carol | refer-to.host=192.0.2.16 | refer-to.replaces=90abc@192.0.2.4;to-tag=7;from-tag=6",
    ),
    case(
        "refer in compact form",
        r"REFER sip:bob@192.0.2.8 SIP/2.0
v: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds
Max-Forwards: 70
f: <sip:alice@example.com>;tag=1928301774
t: <sip:bob@example.net>;tag=a6c85cf
i: a84b4c76e66710@192.0.2.4
CSeq: 3 REFER
m: <sip:alice@192.0.2.4>
r: <sip:carol@example.org>
b: <sip:alice@example.com>",
        b"",
        r"method=REFER | refer-to.user=carol | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "notify of a transfer",
        r"NOTIFY sip:alice@192.0.2.4 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK9
Max-Forwards: 70
From: <sip:bob@example.net>;tag=a6c85cf
To: <sip:alice@example.com>;tag=1928301774
$CALL
CSeq: 7 NOTIFY
Contact: <sip:bob@192.0.2.8>
Event: refer
Subscription-State: active;expires=60
Content-Type: message/sipfrag;version=2.0",
        b"SIP/2.0 180 Ringing\r\n",
        r"method=NOTIFY | event=refer | content-type=message/sipfrag | to.tag=1928301774 | from.tag=a6c85cf",
    ),
    case(
        "notify of waiting messages",
        r"NOTIFY sip:alice@192.0.2.4 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK9
Max-Forwards: 70
From: <sip:alice@example.com>;tag=s
To: <sip:alice@example.com>;tag=1928301774
$CALL
CSeq: 8 NOTIFY
Contact: <sip:192.0.2.8>
o: message-summary
Subscription-State: active
Content-Type: application/simple-message-summary",
        b"Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n",
        r"method=NOTIFY | event=message-summary | contact.host=192.0.2.8 | content-type=application/simple-message-summary",
    ),
    case(
        "info with a digit",
        r"INFO sip:bob@192.0.2.8 SIP/2.0
$VIA
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 4 INFO
Content-Type: application/dtmf-relay",
        b"Signal=5\r\nDuration=160\r\n",
        r"method=INFO | cseq=4 INFO | content-type=application/dtmf-relay",
    ),
    case(
        "prack",
        r"PRACK sip:bob@192.0.2.8 SIP/2.0
$VIA
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 2 PRACK
RAck: 813520 1 INVITE",
        b"",
        r"method=PRACK | cseq=2 PRACK | to.tag=a6c85cf",
    ),
    case(
        "update with a session timer",
        r"UPDATE sip:bob@192.0.2.8 SIP/2.0
$VIA
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 5 UPDATE
$CONTACT
Session-Expires: 1800;refresher=uac
Min-SE: 90",
        b"",
        r"method=UPDATE | cseq=5 UPDATE | contact.user=alice",
    ),
    case(
        "message in UTF-8",
        r#"MESSAGE sip:bob@example.net SIP/2.0
$VIA
From: "Jürgen Groß" <sip:alice@example.com>;tag=1928301774
$TO
$CALL
CSeq: 1 MESSAGE
Content-Type: text/plain;charset=UTF-8"#,
        b"Gr\xc3\xbc\xc3\x9fe",
        r"method=MESSAGE | from.display=Jürgen Groß | content-type=text/plain | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "302 to two places",
        r#"SIP/2.0 302 Moved Temporarily
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 1 INVITE
Contact: "Bob" <sip:bob@192.0.2.20>;q=0.7, "Office" <sip:bob@192.0.2.21>;q=0.1"#,
        b"",
        r"code=302 | contact.display=Bob | contact.host=192.0.2.20 | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "486 without a phrase",
        r"SIP/2.0 486 
Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK776asdhds
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 1 INVITE",
        b"",
        r"code=486 | to.tag=a6c85cf | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "200 from an IPv6 peer",
        r"SIP/2.0 200 OK
Via: SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bKas3-111;received=2001:db8::9:255;rport=5060
$FROM
$TO;tag=a6c85cf
$CALL
CSeq: 1 INVITE
Contact: <sip:bob@[2001:db8::10]>",
        b"",
        r"code=200 | via.host=[2001:db8::9:1] | via.received=2001:db8::9:255 | contact.host=[2001:db8::10]",
    ),
    case(
        "invite with blanks where they may be",
        r#"INVITE sip:bob@example.net SIP/2.0
Via : SIP / 2.0 / UDP 192.0.2.4 : 5060 ; branch = z9hG4bK776asdhds
Max-Forwards : 70
From : "Alice" <sip:alice@example.com> ; tag = 1928301774
$TO
$CALL
CSeq: 1 INVITE
$CONTACT"#,
        b"",
        r"method=INVITE | via.host=192.0.2.4 | via.port=5060 | via.branch=z9hG4bK776asdhds | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "invite with a binary body in parts",
        r"INVITE sip:bob@example.net SIP/2.0
$VIA
$FROM
$TO
$CALL
CSeq: 1 INVITE
$CONTACT
MIME-Version: 1.0
Content-Type: multipart/mixed;boundary=x",
        b"--x\r\nContent-Type: application/isup\r\n\r\n\x01\x00\r\n\r\n\xff\x0a\r\n--x--\r\n",
        r"method=INVITE | content-type=multipart/mixed | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
    case(
        "a method no one knows",
        r#"SERVICE sip:bob@example.net SIP/2.0
$VIA
$FROM
$TO
$CALL
CSeq: 1 SERVICE
X-Vendor: a;b="c,d""#,
        b"",
        r"method=SERVICE | cseq=1 SERVICE | uri.host=example.net",
    ),
    case(
        "invite from a gateway, identities in headers",
        r#"INVITE sip:bob@example.net SIP/2.0
$VIA
From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=1928301774
$TO
$CALL
CSeq: 1 INVITE
$CONTACT
P-Asserted-Identity: "Alice" <sip:alice@example.com>, <tel:+12015550123>
MediaSecurity: id
Diversion: <sip:dave@example.net>;reason=no-answer"#,
        b"",
        r"method=INVITE | from.host=anonymous.invalid | contact.user=alice | from.tag=1928301774 | call-id=a84b4c76e66710@192.0.2.4",
    ),
];
