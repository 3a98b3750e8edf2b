//! Reasons of rosters, of messages to people, and of alerts.

use super::{Explained, act, good};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::AddressInvalid => act(
            "邮件地址无效。",
            "Correct the person's key in the Secret of spec.addressesSecretRef, or smtp.from of the channel.",
            "请更正 spec.addressesSecretRef 所指 Secret 中该人员的键，或通知渠道的 smtp.from。",
        )
        .run(&["p861 duty now", "kubectl edit dutyroster ROSTER -n DISTRICT"])
        .pages(&["P861MessagesUndelivered", "P861PeopleUnreachable"]),
        Reason::AddressMissing => act(
            "缺少邮件地址。",
            "Add the key that the message names to the Secret of spec.addressesSecretRef.",
            "请在 spec.addressesSecretRef 所指的 Secret 中补上消息中指出的键。",
        )
        .run(&["p861 duty now"])
        .pages(&["P861MessagesUndelivered", "P861PeopleUnreachable"]),
        Reason::AlertUnreadable => act(
            "Alertmanager 推送的告警中有一条无法解析，因此没有工单。",
            "Correct the rule, or the program, that sends the alert: the Event names the alert and what is wrong with it. The post's other alerts have their tickets.",
            "请更正发出该告警的规则或程序：Kubernetes 事件中有该告警的名称及问题所在。同批推送的其他告警已有工单。",
        )
        .run(&["kubectl get events -n default --field-selector reason=AlertUnreadable"])
        .pages(&["P861AlertPostsRefused"]),
        Reason::AlertmanagerRefused => act(
            "Alertmanager 拒绝了请求。",
            "The message has its answer. See its log on the site.",
            "消息中有其应答。请查看站点上 Alertmanager 的日志。",
        )
        .run(&["p861 site show SITE"]),
        Reason::AlertmanagerUnreachable => act(
            "Alertmanager 没有应答，无法静默告警。",
            "Mend it, or open the change anew without a silence. The step is tried again.",
            "请修复 Alertmanager，或不设静默、重新提出变更。该步骤会重试。",
        )
        .run(&["p861 site show SITE", "p861 ticket open TITLE --change Normal --no-silence"]),
        Reason::AlertmanagerUnreadable => act(
            "Alertmanager 的应答无法解析。",
            "See whether an Alertmanager is at the address in spec.monitoring.alertmanager of the Site, and not something else.",
            "请确认站点 spec.monitoring.alertmanager 中的地址确为 Alertmanager。",
        )
        .run(&["kubectl get site SITE -o yaml"]),
        Reason::ChannelGone => act(
            "值班表中已没有该通知渠道。",
            "The message was for a channel that was removed or renamed. Call the person, or put the channel back into spec.channels.",
            "该通知原用的渠道已删除或改名。请直接联系本人，或在 spec.channels 中恢复该渠道。",
        )
        .run(&["p861 duty now", "kubectl edit dutyroster ROSTER -n DISTRICT"])
        .pages(&["P861MessagesUndelivered"]),
        Reason::ChannelInvalid => act(
            "值班表的通知渠道配置无效。",
            "Correct the channel in spec.channels: it needs a webhook or smtp, and smtp.server is host:port.",
            "请更正 spec.channels 中的渠道：须有 webhook 或 smtp，smtp.server 写作 主机:端口。",
        )
        .run(&["kubectl edit dutyroster ROSTER -n DISTRICT"])
        .pages(&["P861MessagesUndelivered", "P861PeopleUnreachable"]),
        Reason::Covered => good("值班表的各级均有人值班。"),
        Reason::Delivered => good("测试消息已送达所有人。"),
        Reason::DutyGiven => act(
            "有人已交班。",
            "Whoever is next takes the duty.",
            "请接班人接班。",
        )
        .run(&["p861 duty now", "p861 duty take"]),
        Reason::DutyTaken => good("有人已接班。"),
        Reason::HeartbeatMissing => act(
            "没有收到 Alertmanager 的心跳告警，其他告警可能丢失。",
            "See whether the site's Prometheus and Alertmanager run, and whether their posts reach the hub. Until then watch the site yourself.",
            "请确认站点的 Prometheus 和 Alertmanager 在运行，且其推送能到达管理中心。在此之前请人工查看该站点。",
        )
        .run(&["p861 duty now", "p861 site show SITE", "kubectl --context SITE get nodes"])
        .pages(&["P861AlertsNotArriving"]),
        Reason::HeartbeatSeen => good("能收到 Alertmanager 的心跳告警。"),
        Reason::MailFailed => act(
            "邮件服务器没有接收邮件。",
            "Call the person. The message has the server's answer: correct the server, its credentials or its certificate. It is sent again within five minutes.",
            "请直接联系本人。消息中有服务器的应答：请更正服务器、凭据或证书。五分钟内会再次发送。",
        )
        .run(&["p861 duty now", "kubectl edit dutyroster ROSTER -n DISTRICT"])
        .pages(&["P861MessagesUndelivered"]),
        Reason::NoAlertmanager => act(
            "没有声明 Alertmanager。",
            "Declare it in spec.monitoring.alertmanager of the Site; without it no heartbeat is expected from the site, and nothing can be silenced.",
            "请在站点的 spec.monitoring.alertmanager 中声明；否则不会等待该站点的心跳告警，也无法静默告警。",
        )
        .run(&["kubectl edit site SITE"]),
        Reason::NotDelivered => act(
            "测试消息没有送达所有人。",
            "The message names each person, channel and cause. Mend that: at an incident they would not be called.",
            "消息列出了每个人、所用渠道和原因。请逐一排除：否则发生事件时无法通知他们。",
        )
        .run(&["p861 duty now", "kubectl edit dutyroster ROSTER -n DISTRICT"])
        .pages(&["P861PeopleUnreachable"]),
        Reason::TokenMissing => act(
            "链接所用的令牌缺失。",
            "The operator makes the Secret p861-alerts anew if it is deleted; it needs a key token of some length. Copy the new token to each receiver.",
            "删除 Secret p861-alerts 后，operator 会重新生成；其中的 token 键须足够长。请将新令牌复制到每个接收端。",
        )
        .run(&["kubectl -n p861-system get secret p861-alerts"])
        .pages(&["P861AlertPostsRefused"]),
        Reason::Uncovered => act(
            "有一级无人值班。",
            "Complete the rotations of the level that the message names. Until then watch the tickets yourself.",
            "请补全消息中指出的级别的轮值。在此之前请人工查看工单。",
        )
        .run(&["p861 duty now", "kubectl edit dutyroster ROSTER -n DISTRICT", "p861 ticket list"])
        .pages(&["P861DutyUncovered"]),
        Reason::WebhookFailed => act(
            "Webhook 没有接收消息。",
            "Call the person. The message has the receiver's answer: mend the receiver, or its url. It is sent again within five minutes.",
            "请直接联系本人。消息中有接收端的应答：请修复接收端或更正其 url。五分钟内会再次发送。",
        )
        .run(&["p861 duty now"])
        .pages(&["P861MessagesUndelivered", "P861PeopleUnreachable"]),
        Reason::WebhookInvalid => act(
            "Webhook 的地址无效。",
            "Correct the key url, or ca.crt, in the Secret of the channel: write https://host/path.",
            "请更正该渠道 Secret 中的 url 或 ca.crt 键：写作 https://主机/路径。",
        )
        .run(&["kubectl get dutyroster ROSTER -n DISTRICT -o yaml"])
        .pages(&["P861MessagesUndelivered", "P861PeopleUnreachable"]),
        _ => return None,
    })
}
