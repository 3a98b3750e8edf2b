//! What `app discover` says.

use super::{Bilingual, both};

/// Under a found application.
pub fn discover_next(file: &str) -> Bilingual {
    both(format!("Next: edit {file} (marked TODO), then kubectl apply -f {file}"), format!("下一步：编辑 {file}（标有 TODO 处），然后 kubectl apply -f {file}"))
}

/// Where the order comes from.
pub fn from_services(order: &str) -> Bilingual {
    both(format!("{order}, from calls between Services"), format!("{order}，依据 Service 的调用关系"))
}

/// An address that a drill's copy can't reach.
pub fn names_outside(place: &str, address: &str) -> Bilingual {
    both(
        format!("{place} refers to {address}: unreachable in a drill unless isolation.allowEgress allows it"),
        format!("{place} 指向 {address}：演练中不可达，除非 isolation.allowEgress 允许"),
    )
}

/// Addresses that are not listed.
pub fn more_outside(number: usize) -> Bilingual {
    both(format!("{number} more addresses"), format!("另有 {number} 个地址"))
}

/// What a person must add.
pub fn yours() -> Bilingual {
    both("names, department, criticality, marker: marked TODO", "名称、部门、重要程度、标记：已标 TODO")
}

/// A database that was found.
pub fn found_stream(product: &str, stream: &str, has_claims: bool) -> Bilingual {
    let (en, zh) = if has_claims { (", its volume skipped", "，不备份其卷") } else { ("", "") };
    both(format!("{product}: stream {stream}{en}"), format!("{product}：数据流 {stream}{zh}"))
}

/// A claim that was found.
pub fn found_files(claim: &str, size: Option<&str>) -> Bilingual {
    let size = size.map(|size| format!(" {size}")).unwrap_or_default();
    both(format!("{claim}{size} (files)"), format!("{claim}{size}（文件）"))
}

/// No data was found.
pub fn no_data() -> Bilingual {
    both("none: no claim, and no database with a known image", "无：没有存储卷声明，也没有可识别的数据库镜像")
}

/// Cluster-scoped objects that could not be read.
pub fn unread_of_cluster(kinds: &str) -> Bilingual {
    both(format!("{kinds}: you may not list these, so what it needs of them is not proposed"), format!("{kinds}：您无权列出，因此未能给出其中所需对象的建议"))
}

/// ConfigMaps that could not be read.
pub fn unread_maps(names: &str) -> Bilingual {
    both(
        format!("ConfigMaps {names}: you may not read these, so a Service that is named only there is not seen"),
        format!("ConfigMap {names}：您无权读取，因此看不到仅在其中引用的 Service"),
    )
}

/// 403 of a site, for the account of the hub there.
pub fn hub_not_allowed_at(site: &str, what: &Bilingual, message: &str) -> Bilingual {
    both(
        format!(
            "the hub's account on site {site} may not {}: {message}; upgrade chart p861 on that site (site.enabled=true), or look with your own permissions there: --site-context or --site-kubeconfig",
            what.en
        ),
        format!(
            "管理中心在站点 {site} 的账号无权{}：{message}；请升级该站点的 p861 chart（site.enabled=true），或用 --site-context 或 --site-kubeconfig 以您自己在该站点的权限查看",
            what.zh
        ),
    )
}

/// 403 of a site, for the person's own account there.
pub fn not_allowed_at_site(what: &Bilingual, message: &str) -> Bilingual {
    both(
        format!(
            "you may not {}: {message}; permissions on a site are given by the administrators of that cluster: ClusterRole view in the namespace is enough",
            what.en
        ),
        format!("您无权{}：{message}；站点上的权限由该集群的管理员授予：在该命名空间授予 ClusterRole view 即可", what.zh),
    )
}
