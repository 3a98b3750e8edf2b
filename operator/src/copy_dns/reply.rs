//! Questions and answers in DNS's own form.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record as WireRecord, RecordType as WireType,
        rdata::{A, AAAA, CNAME, PTR, SOA, SRV},
    },
};
use p861_core::isolation::{self, Answer, CopyZone, Data, Directory, Question, Record, RecordType};
use std::net::IpAddr;

/// How long an answer may be kept, in seconds: pods come and go while an application starts. CoreDNS has the same.
const TTL: u32 = 5;
/// The longest answer in a datagram, in bytes, whatever a client says that it takes: longer ones may be lost on their way (DNS flag day 2020).
const MAX_DATAGRAM: u16 = 1_232;

/// What becomes of a question.
#[derive(Debug)]
pub enum Reply {
    /// This is answered.
    Done(Message),
    /// The cluster's DNS is asked for addresses of this name first.
    AskOutside {
        /// The answer so far.
        message: Message,
        /// The name, in lower case and without a dot at its end.
        name: String,
        /// Whether IPv4 or IPv6 addresses are wanted.
        record_type: RecordType,
    },
}

/// The type of a question, as far as names of a copy have records of it.
fn type_of(wire: WireType) -> RecordType {
    match wire {
        WireType::A => RecordType::A,
        WireType::AAAA => RecordType::Aaaa,
        WireType::SRV => RecordType::Srv,
        WireType::PTR => RecordType::Ptr,
        _ => RecordType::Other,
    }
}

/// A name in lower case and without a dot at its end; none if no host can have it.
fn text_of(name: &Name) -> Option<String> {
    let labels: Option<Vec<String>> = name
        .iter()
        .map(|label| {
            let is_plain = label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.' && *byte != b'\\');
            std::str::from_utf8(label).ok().filter(|_| is_plain).map(str::to_ascii_lowercase)
        })
        .collect();
    labels.map(|labels| labels.join("."))
}

/// Reads a question; none if it is none, and nothing can be said to it.
pub fn read(bytes: &[u8]) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    // An answer to an answer could go on for ever.
    (message.metadata.message_type == MessageType::Query).then_some(message)
}

/// Answers a question.
pub fn reply(request: &Message, zone: &CopyZone, directory: &Directory) -> Reply {
    let mut message = Message::response(request.metadata.id, request.metadata.op_code);
    message.metadata.recursion_desired = request.metadata.recursion_desired;
    // It asks on behalf of its clients where that is allowed. A resolver that is told no would not ask at all.
    message.metadata.recursion_available = true;
    message.queries.clone_from(&request.queries);
    if request.edns.is_some() {
        message.set_edns(Edns::new());
    }
    let [query] = request.queries.as_slice() else {
        message.metadata.response_code = ResponseCode::FormErr;
        return Reply::Done(message);
    };
    if request.metadata.op_code != OpCode::Query {
        message.metadata.response_code = ResponseCode::NotImp;
        return Reply::Done(message);
    }
    let asked = text_of(query.name()).filter(|_| query.query_class() == DNSClass::IN);
    let (name, record_type) = (asked.as_deref().unwrap_or_default(), type_of(query.query_type()));
    match isolation::answer(zone, directory, Question { name, record_type }) {
        Answer::Records(records) => {
            message.metadata.authoritative = true;
            fill(&mut message, records);
        }
        Answer::Missing => missing(&mut message, ResponseCode::NXDomain),
        Answer::AskOutside { aliases, name } => {
            fill(&mut message, aliases);
            return Reply::AskOutside { message, name, record_type };
        }
    }
    Reply::Done(message)
}

/// Completes an answer with what the cluster's DNS says of a name: the addresses to which the copy may connect, or its refusal.
pub fn complete(message: &mut Message, zone: &CopyZone, name: &str, found: Result<Vec<IpAddr>, ResponseCode>) {
    match found {
        // Another type may have an address: the name is there.
        Ok(addresses) => {
            let allowed = addresses.into_iter().filter(|address| zone.egress.contains(*address));
            fill(message, allowed.map(|address| Record { name: name.to_owned(), data: Data::Address(address) }).collect());
        }
        Err(code) => missing(message, code),
    }
}

fn missing(message: &mut Message, code: ResponseCode) {
    message.answers.clear();
    message.metadata.response_code = code;
    if code == ResponseCode::NXDomain {
        message.metadata.authoritative = true;
        message.add_authority(authority());
    }
}

/// Without an authority nobody keeps the answer that there is nothing, and everybody asks again at once.
fn authority() -> WireRecord {
    let root = Name::root();
    WireRecord::from_rdata(root.clone(), TTL, RData::SOA(SOA::new(root.clone(), root, 1, 3_600, 600, 86_400, TTL)))
}

fn fill(message: &mut Message, records: Vec<Record>) {
    let (aliases, others): (Vec<Record>, Vec<Record>) = records.into_iter().partition(|record| matches!(record.data, Data::Alias(_)));
    let others = isolation::order_of(others, message.metadata.id);
    let has_any = !others.is_empty();
    for record in aliases.into_iter().chain(others) {
        // A name that is no name of DNS, as of an alias that somebody has misspelled, has no record.
        if let Some(record) = wire(&record) {
            message.add_answer(record);
        }
    }
    if !has_any && message.authorities.is_empty() {
        message.add_authority(authority());
    }
}

fn name(text: &str) -> Option<Name> {
    Name::from_ascii(format!("{text}.")).ok()
}

fn wire(record: &Record) -> Option<WireRecord> {
    let data = match &record.data {
        Data::Address(IpAddr::V4(address)) => RData::A(A(*address)),
        Data::Address(IpAddr::V6(address)) => RData::AAAA(AAAA(*address)),
        Data::Alias(target) => RData::CNAME(CNAME(name(target)?)),
        Data::Service { host, port } => RData::SRV(SRV::new(0, 100, *port, name(host)?)),
        Data::Pointer(target) => RData::PTR(PTR(name(target)?)),
    };
    Some(WireRecord::from_rdata(name(&record.name)?, TTL, data))
}

/// An answer as bytes: in a datagram cut to what its client takes, which then asks again by TCP.
pub fn bytes(request: &Message, message: &Message, in_datagram: bool) -> Option<Vec<u8>> {
    let whole = message.to_vec().ok()?;
    let most = request.max_payload().min(MAX_DATAGRAM);
    if in_datagram && whole.len() > usize::from(most) { message.truncate().to_vec().ok() } else { Some(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;
    use serde_json::{Value, json};

    fn zone() -> CopyZone {
        serde_json::from_value(json!({
            "namespaces": {"shinan-approval": "shinan-approval--drill-k7m2q"},
            "entrypoints": [{"hostname": "shenpi.example", "namespace": "shinan-approval--drill-k7m2q", "service": "web"}],
            "egress": {"networks": ["10.20.3.0/24"], "names": ["ldap.city.example"]}
        }))
        .expect("a zone")
    }

    fn directory(hosts: u8) -> Directory {
        let service = |name: &str, address: &str| json!({"metadata": {"namespace": "shinan-approval--drill-k7m2q", "name": name}, "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80}]}});
        let endpoints: Vec<Value> = (0..hosts).map(|host| json!({"addresses": [format!("10.244.1.{host}")]})).collect();
        let slice = json!({"metadata": {"namespace": "shinan-approval--drill-k7m2q", "labels": {"kubernetes.io/service-name": "many"}}, "endpoints": endpoints, "ports": [{"name": "http", "port": 80}]});
        Directory::of(&[service("web", "10.96.1.1"), service("many", "None")], &[slice])
    }

    fn request(name: &str, record_type: WireType, edns: bool) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), record_type));
        message.metadata.recursion_desired = true;
        if edns {
            message.set_edns(Edns::new());
        }
        read(&message.to_vec().expect("written")).expect("a question")
    }

    fn answered(name: &str, record_type: WireType, edns: bool) -> Message {
        let request = request(name, record_type, edns);
        let Reply::Done(message) = reply(&request, &zone(), &directory(3)) else { panic!("asked outside") };
        let bytes = bytes(&request, &message, true).expect("written");
        let read = Message::from_vec(&bytes).expect("read");
        assert_eq!((read.metadata.id, read.metadata.message_type, read.queries.len()), (request.metadata.id, MessageType::Response, 1));
        assert_eq!(read.edns.is_some(), edns, "who speaks EDNS is answered in it, and nobody else");
        read
    }

    #[test]
    fn fault_e14_a_question_is_answered_as_resolvers_read_it() {
        let found = answered("Web.Shinan-Approval.svc.cluster.local.", WireType::A, true);
        assert_eq!((found.metadata.response_code, found.answers.len(), found.metadata.recursion_available), (ResponseCode::NoError, 1, true));
        assert!(matches!(found.answers[0].data, RData::A(A(address)) if address.to_string() == "10.96.1.1"));
        let none = answered("web.shinan-approval.svc.cluster.local.", WireType::AAAA, false);
        assert_eq!(
            (none.metadata.response_code, none.answers.len(), none.authorities.len()),
            (ResponseCode::NoError, 0, 1),
            "musl takes NXDOMAIN of one type for both"
        );
        let missing = answered("www.example.com.", WireType::A, false);
        assert_eq!((missing.metadata.response_code, missing.answers.len(), missing.authorities.len()), (ResponseCode::NXDomain, 0, 1));
        let service = answered("_http._tcp.web.shinan-approval.svc.cluster.local.", WireType::SRV, true);
        assert!(matches!(&service.answers[0].data, RData::SRV(record) if record.port == 80), "{service:?}");
        let reverse = answered("1.1.96.10.in-addr.arpa.", WireType::PTR, true);
        assert!(matches!(&reverse.answers[0].data, RData::PTR(PTR(name)) if name.to_ascii() == "web.shinan-approval.svc.cluster.local."), "{reverse:?}");
        assert_eq!(answered("shenpi.example.", WireType::A, true).answers.len(), 1);
        assert_eq!(answered("web.shinan-approval.svc.", WireType::TXT, true).metadata.response_code, ResponseCode::NoError);
    }

    #[test]
    fn fault_e14_what_is_asked_outside_is_answered_as_far_as_the_copy_may_go() {
        let request = request("ldap.city.example.", WireType::A, true);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (found, code, answers) in [
            (Ok(vec![address("10.20.3.7"), address("192.0.2.1")]), ResponseCode::NoError, 1),
            (Ok(vec![address("192.0.2.1")]), ResponseCode::NoError, 0),
            (Ok(Vec::new()), ResponseCode::NoError, 0),
            (Err(ResponseCode::NXDomain), ResponseCode::NXDomain, 0),
            (Err(ResponseCode::ServFail), ResponseCode::ServFail, 0),
        ] {
            let Reply::AskOutside { mut message, name, record_type } = reply(&request, &zone(), &directory(0)) else { panic!("not asked") };
            assert_eq!((name.as_str(), record_type), ("ldap.city.example", RecordType::A));
            complete(&mut message, &zone(), &name, found.clone());
            assert_eq!((message.metadata.response_code, message.answers.len()), (code, answers), "{found:?}");
        }
    }

    #[test]
    fn a_long_answer_is_cut_in_a_datagram_and_whole_by_tcp() {
        let request = request("many.shinan-approval.svc.cluster.local.", WireType::A, true);
        let Reply::Done(message) = reply(&request, &zone(), &directory(200)) else { panic!("asked outside") };
        let cut = Message::from_vec(&bytes(&request, &message, true).expect("written")).expect("read");
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        let whole = Message::from_vec(&bytes(&request, &message, false).expect("written")).expect("read");
        assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 200));
    }

    #[test]
    fn what_is_no_question_is_refused_or_not_answered() {
        assert!(read(b"").is_none() && read(b"hello, world").is_none());
        let mut response = request("web.", WireType::A, false);
        response.metadata.message_type = MessageType::Response;
        assert!(read(&response.to_vec().expect("written")).is_none(), "an answer is answered by nobody");
        for (change, code) in [
            ((|message: &mut Message| message.queries.clear()) as fn(&mut Message), ResponseCode::FormErr),
            (|message| message.metadata.op_code = OpCode::Notify, ResponseCode::NotImp),
        ] {
            let mut request = request("web.", WireType::A, false);
            change(&mut request);
            let Reply::Done(message) = reply(&request, &zone(), &directory(0)) else { panic!("asked outside") };
            assert_eq!(message.metadata.response_code, code);
        }
        let odd = Name::from_labels([b"a.b".as_slice(), b"svc".as_slice()]).expect("a name");
        assert_eq!(text_of(&odd), None, "a dot in a label is no dot between labels");
    }
}
