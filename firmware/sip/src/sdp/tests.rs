//! Descriptions as phones and servers write them.

use super::*;

fn one(media: &str) -> SdpLine {
    let body =
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}");
    Description::parse(body.as_bytes()).unwrap().lines.remove(0)
}

#[test]
fn static_numbers_count_only_without_an_rtpmap() {
    let line = one(
        "m=audio 4000 RTP/AVP 0 8 9 96 18\r\na=rtpmap:0 G729/8000\r\na=rtpmap:96 pcmU/8000\r\n",
    );
    assert_eq!(
        line.formats,
        [
            (0, Format::Unknown),
            (8, Format::Codec(Codec::Pcma)),
            (9, Format::Codec(Codec::G722)),
            (96, Format::Codec(Codec::Pcmu)),
            (18, Format::Unknown),
        ]
    );
}

#[test]
fn attributes_fall_back_to_the_session() {
    let body = "v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n\
                a=SENDONLY\r\na=ptime:30\r\n\
                m=audio 4000 rtp/avp 107 101\r\na=RTPMAP:107 OPUS/48000/2\r\n\
                a=fmtp:107 stereo=0; UseInbandFEC=1;usedtx=0\r\n\
                a=rtpmap:101 Telephone-Event/48000\r\na=rtcp:4009 IN IP6 2001:db8::2\r\n\
                a=maxptime:40.0\r\n";
    let line = Description::parse(body.as_bytes()).unwrap().lines.remove(0);
    assert_eq!(line.profile(), Profile::Plain);
    assert_eq!(
        line.formats,
        [
            (107, Format::Codec(Codec::Opus)),
            (101, Format::Event(48_000))
        ]
    );
    assert_eq!(line.direction, Direction::SendOnly);
    assert_eq!((line.ptime, line.maxptime), (Some(30), Some(40)));
    assert!(line.opus.fec);
    assert!(!line.opus.dtx);
    let (rtp, rtcp) = line.remote().unwrap();
    assert_eq!(rtp.to_string(), "[2001:db8::1]:4000");
    assert_eq!(rtcp.to_string(), "[2001:db8::2]:4009");
}

#[test]
fn addresses_that_cannot_be_reached_are_named() {
    for (bad, status) in [
        ("IN IP7 127.0.0.1", 400),
        ("IN IP4 ::1", 488),
        ("IN IP4 224.2.17.12/127", 488),
        ("IN IP4 255.255.255.255", 488),
        ("TN RFC2543 +1", 400),
    ] {
        let line = one(&format!("m=audio 4000 RTP/AVP 0\r\nc={bad}\r\n"));
        let error = line.remote().unwrap_err();
        assert_eq!((error.status(), error.warning()), (status, 301), "{bad}");
    }
}

#[test]
fn what_is_plainly_meant_is_read() {
    let head = "v=0\r\no=some odd words\r\ns=-\r\nc=IN IP4 192.0.2.1/127\r\nt=0 0\r\n";
    let media = "m=audio\t4000  RTP/AVP\t0\t8\r\nm=video 0 RTP/AVP\r\n\0\0";
    let lines = Description::parse(format!("{head}{media}").as_bytes())
        .unwrap()
        .lines;
    assert_eq!(lines[0].remote().unwrap().0.to_string(), "192.0.2.1:4000");
    assert_eq!(lines[0].fmt, "0 8");
    assert_eq!((lines[1].port, lines[1].fmt.as_str()), (0, "0"));
    // A live line needs its formats.
    let live = format!("{head}m=audio 4000 RTP/AVP\r\n");
    assert!(matches!(
        Description::parse(live.as_bytes()),
        Err(SdpError::Syntax(_))
    ));
}

#[test]
fn host_name_means_where_it_came_from() {
    let body = "v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nc=IN IP4 host.example.com\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 0\r\n";
    let from = "192.0.2.7".parse().ok();
    let line = Description::parse_from(body.as_bytes(), from)
        .unwrap()
        .lines
        .remove(0);
    assert_eq!(line.remote().unwrap().0.to_string(), "192.0.2.7:4000");
    let line = Description::parse(body.as_bytes()).unwrap().lines.remove(0);
    assert_eq!(
        line.remote(),
        Err(SdpError::HostName("host.example.com".into()))
    );
}

#[test]
fn zero_address_means_hold() {
    for (attribute, meant) in [
        ("sendrecv", Direction::SendOnly),
        ("recvonly", Direction::Inactive),
        ("inactive", Direction::Inactive),
    ] {
        let line = one(&format!(
            "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na={attribute}\r\n"
        ));
        assert_eq!(line.meant_direction(), meant);
    }
}

#[test]
fn broken_bodies_are_errors() {
    assert_eq!(
        Description::parse(b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"),
        Err(SdpError::NoMedia)
    );
    for bad in [
        &b"v=\r\no=\r\ns=\r\nc=\r\nt=\r\na=\r\n"[..],
        b"",
        b"\0\xff\xfe",
        b"v=1\r\n",
        b"v=0\r\nm=audio 99999 RTP/AVP 0\r\n",
    ] {
        assert!(
            matches!(Description::parse(bad), Err(SdpError::Syntax(_))),
            "{}",
            String::from_utf8_lossy(bad)
        );
    }
    let many = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(33));
    assert!(matches!(
        Description::parse(many.as_bytes()),
        Err(SdpError::Syntax(_))
    ));
}
