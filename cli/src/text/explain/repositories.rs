//! Reasons of repositories and of what is stored in them.

use super::{Explained, act, good, unset};
use p861_crds::Reason;

/// What is said of a reason of this room.
#[expect(clippy::too_many_lines, reason = "a table, in the order of the reasons")]
pub(super) fn explain(reason: &Reason) -> Option<Explained> {
    Some(match reason {
        Reason::AccessDenied => act(
            "对象存储拒绝访问。",
            "Correct the keys in the Secret of spec.s3.credentialsSecretRef. With the role Engineer, which changes no Secret, create another and name that one.",
            "请更正 spec.s3.credentialsSecretRef 所指 Secret 中的密钥。工程师角色不能修改 Secret：请新建一个，并改为引用它。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady", "P861BackupFailed"]),
        Reason::BackupsVerified => good("最近一次验证没有发现损坏。"),
        Reason::CheckOverdue => unset("备份库最近一次检查距今过久。"),
        Reason::ConditionalWriteMissing => act(
            "对象存储不支持条件写入，而租约和运行记录需要它。",
            "Use an object store that honours If-None-Match.",
            "请使用支持 If-None-Match 的对象存储。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::ConfigMissing => act(
            "该地址有备份库的部分内容，但缺少 config 文件。",
            "Put config back from a copy of the bucket, or choose an empty place. Delete what is left only if nobody needs it.",
            "请从存储桶的拷贝中放回 config，或另选空的位置。确认无人需要后，才可删除残留的内容。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::Damaged => act(
            "备份库中的数据损坏或缺失。",
            "Put the file that the message names back from a copy of the bucket, or have the next backup store its data anew as the runbook says. Restore from an undamaged backup.",
            "请从存储桶的拷贝中放回消息中指出的文件，或按处置手册让下一次备份重新存储。恢复时请选用未损坏的备份。",
        )
        .run(&["p861 backup list APPLICATION", "p861 backup now APPLICATION"])
        .pages(&["P861RepositoryDamaged", "P861RepositoryNotReady", "P861BackupOverdue"]),
        Reason::FolderRefused => act(
            "本安装不允许备份库使用该目录。",
            "Write a path below the folder that the message names, without links. If there is none, use spec.s3, or have the chart's value operator.folders set.",
            "请改用消息中指出的目录之下的路径，且不含链接。若没有这样的目录，请用 spec.s3，或请管理员设置 operator.folders。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::KeyRefused => act(
            "备份库的密钥文件要求的内存或时间过多，或者不是密钥文件。",
            "Have stock restic put a key with its own parameters in its place (restic key passwd). The password may stay the same.",
            "请用原版 restic 以默认参数重新写入密钥（restic key passwd）；口令可以不变。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::KeyWrong => act(
            "备份库已存在，而 spec.encryption.keySecretRef 所指的口令打不开其中任何密钥：创建备份库时用的是另一个口令。",
            "Find the password that the repository was made with, and put it into the Secret of spec.encryption.keySecretRef. Do not delete the repository, and make no new key.",
            "请找到创建备份库时的口令，写入 spec.encryption.keySecretRef 所指的 Secret。不要删除备份库，也不要新建密钥。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady", "P861BackupFailed"]),
        Reason::LeaseUnreadable => act(
            "备份库的租约记录无法读取。",
            "When no backup, restore or prune runs in the repository, delete the record that the message names.",
            "请在该备份库没有备份、恢复或空间回收进行时，删除消息中指出的记录。",
        )
        .run(&["p861 backup list", "p861 restore list"]),
        Reason::NoRepository => act(
            "没有声明备份库，或不清楚该用哪一个。",
            "Create a BackupRepository in the district's namespace. If there are several, name the one that is meant.",
            "请在区的命名空间中创建备份库。若有多个，请指明用哪一个。",
        )
        .run(&["p861 repository list", "p861 backup now APPLICATION --repository REPOSITORY"]),
        Reason::NoSpace => act(
            "空间已满。",
            "Free space, or add some, where the message says: in the bucket, on the volume, or on the mover's own disk.",
            "请按消息中指出的位置释放或扩充空间：存储桶、卷，或搬运任务自身的磁盘。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861BackupFailed", "P861RunFailed"]),
        Reason::NotARepository => act(
            "该地址没有备份库。",
            "The repository's file config is gone: put it back from a copy of the bucket, or correct the address. Do not make a new repository in its place, which would hide the rest.",
            "备份库的 config 文件已不存在：请从存储桶的拷贝中放回，或更正地址。不要在原处新建备份库，否则会掩盖剩余的数据。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::NotOffSite => unset("备份没有异地存放。"),
        Reason::ObjectLocked => act(
            "存储以其对象锁保留了应删除的内容。",
            "Nothing, if the bucket's object lock is meant: it goes once the lock has ended. A lock that is longer than retention keeps data for longer than the policy says.",
            "若存储桶的对象锁是有意设置的，无需处理：锁到期后即会删除。对象锁长于保留策略时，数据会比策略保留得更久。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::Opened => good("备份库已打开，写入并读回无误。"),
        Reason::OtherFailureDomain => good("备份库与其应用处于不同的故障域。"),
        Reason::PathMissing => act(
            "备份中没有该文件或目录。",
            "The message says what the backup has instead. Correct the path: it begins below the claim's own root.",
            "消息中列出了备份里实际有的内容。请更正路径，路径从该卷的根目录算起。",
        )
        .run(&["p861 backup show BACKUP"]),
        Reason::PreconditionFailed => act(
            "对象已被另一个写入者修改。",
            "Somebody else writes at the repository's address: a second operator, or a tool. Find out who, and let only one write there.",
            "另有程序（第二个 operator 或其他工具）在写入备份库的地址。请查明，并只保留一个写入者。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::RandomUnavailable => act(
            "该主机无法提供随机数。",
            "Nothing is encrypted without random numbers. See the node on which the operator or the mover runs.",
            "没有随机数就无法加密。请检查运行 operator 或搬运任务的节点。",
        )
        .run(&["kubectl -n p861-system get pods -o wide"]),
        Reason::RepositoryChanged => act(
            "该地址的备份库已不是原来的那个。",
            "Write the old address into the object. If the change was meant, create a new BackupRepository; the old backups stay where they are.",
            "请将对象中的地址改回原处。若确实要更换，请新建备份库；旧备份仍留在原处。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady", "P861BackupFailed"]),
        Reason::RepositoryDamaged => act(
            "备份库中有备份被发现损坏。",
            "See which backups need the damaged file, and take new ones of all applications of the district.",
            "请查看哪些备份用到受损的文件，并为本区所有应用重新备份。",
        )
        .run(&["p861 backup list --all", "p861 backup now APPLICATION"])
        .pages(&["P861RepositoryDamaged"]),
        Reason::RepositoryNotAllotted => act(
            "该备份库不属于本次任务。",
            "Nothing was done there. A run uses one repository of its own district: name that one.",
            "该处未做任何操作。任务只使用本区的一个备份库：请指定它。",
        )
        .run(&["p861 repository list"]),
        Reason::RepositoryRefused => unset("备份库拒绝了请求。"),
        Reason::RepositoryUnopened => act(
            "备份库尚未打开。",
            "The run waits until the operator has opened the repository once. If that lasts, its conditions say why.",
            "任务会等待 operator 首次打开备份库。若等待过久，备份库自身的状态说明了原因。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::ResultDamaged => act(
            "备份库中的执行结果与当初写入的不同。",
            "Somebody other than the operator has changed what a mover stored. Find out who can write in the bucket, and run it again.",
            "执行结果被 operator 以外的人改动。请查明谁能写入存储桶，然后重新执行。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::ResultMissing => act(
            "备份库中的执行结果已不存在。",
            "Somebody, or a rule that expires objects, has removed what a mover stored. Correct that, and run it again.",
            "执行结果被人或被存储桶的过期规则删除。请排除原因后重新执行。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::ResultTooLarge => act(
            "执行结果超过允许的大小。",
            "Select fewer objects or volumes, or split the application.",
            "请减少所选的对象或卷，或拆分应用。",
        ),
        Reason::SameFailureDomain => act(
            "备份库与其应用处于同一故障域。",
            "Use a bucket in another failure domain: a fire there would take the applications and their backups at once.",
            "请使用另一故障域的存储桶：否则一场灾害会同时毁掉应用和备份。",
        )
        .run(&["p861 repository show REPOSITORY", "p861 site list"]),
        Reason::Pruned => good("已标记没有快照需要的数据，并删除了标记期满的数据。"),
        Reason::PruneOverdue => act(
            "备份库太久没有回收空间，没有快照需要的数据仍占用空间。",
            "See what the last runs say (status.retentionRun, status.endedRetentionRuns): another run may hold the repository each night, or its mover finds no place.",
            "查看最近几次任务的说明（status.retentionRun、status.endedRetentionRuns）：可能每晚都有其他任务占用备份库，或其搬运任务无处运行。",
        )
        .run(&["p861 repository show REPOSITORY", "p861 backup list", "p861 drill list"]),
        Reason::SnapshotMissing => act(
            "备份库中没有该快照。",
            "Name a backup that is there. If the snapshot was removed, restore from another.",
            "请指定存在的备份。若快照已被删除，请用其他备份恢复。",
        )
        .run(&["p861 backup list APPLICATION"]),
        Reason::StoreError => act(
            "对象存储出错。",
            "The message has the store's own words. If it may pass, it is tried again; if it lasts, see the store's log.",
            "消息中有对象存储的原话。可能自行恢复的会重试；若持续出现，请查看对象存储的日志。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        Reason::TooLarge => act(
            "对象存储中的对象或列表超出可读取的大小。",
            "Find out who wrote what the message names, and remove it if it is not needed: the operator writes nothing that large.",
            "请查明消息中指出的内容由谁写入，若不需要请删除：operator 不会写入这么大的内容。",
        )
        .run(&["p861 repository show REPOSITORY"])
        .pages(&["P861RepositoryNotReady"]),
        Reason::VaultError => act(
            "在备份库中的操作失败。",
            "The message says what was tried and what went wrong. It is tried again if it may pass; if it lasts, see the log of the mover or of the operator.",
            "消息说明了所做的操作和错误。可能自行恢复的会重试；若持续出现，请查看搬运任务或 operator 的日志。",
        )
        .run(&["p861 repository show REPOSITORY"]),
        _ => return None,
    })
}
