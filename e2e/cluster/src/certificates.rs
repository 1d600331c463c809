//! An authority, and a certificate for each that speaks to the API server.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::network;

/// Whoever has a kubeconfig: its file's name, its user and its group, as Kubernetes' own roles know them.
const USERS: [(&str, &str, &str); 5] = [
    ("admin", "admin", "system:masters"),
    ("controllers", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("aggregator", "aggregator", ""),
];

/// Writes all of them and the kubeconfigs.
pub(crate) fn write(directory: &Path, nodes: u8) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "ordermill-cluster");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    fs::write(directory.join("ca.crt"), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);

    let names = [
        "127.0.0.1",
        &network::address(1),
        network::API_SERVICE,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut server = CertificateParams::new(names.map(str::to_owned))?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(directory, "server", server, &issuer)?;

    let user = |file: &str, name: &str, group: &str| -> Result<()> {
        let mut client = CertificateParams::new(Vec::new())?;
        client.distinguished_name.push(DnType::CommonName, name);
        if !group.is_empty() {
            client.distinguished_name.push(DnType::OrganizationName, group);
        }
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        sign(directory, file, client, &issuer)?;
        Ok(fs::write(directory.join(format!("{file}.conf")), kubeconfig(directory, file))?)
    };
    for (file, name, group) in USERS {
        user(file, name, group)?;
    }
    for number in 1..=nodes.max(9) {
        user(&format!("kubelet-{number}"), &format!("system:node:node-{number}"), "system:nodes")?;
    }
    let accounts = KeyPair::generate()?;
    fs::write(directory.join("accounts.key"), accounts.serialize_pem())?;
    Ok(fs::write(directory.join("accounts.pub"), accounts.public_key_pem())?)
}

fn sign(directory: &Path, name: &str, params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
    let key = KeyPair::generate()?;
    fs::write(directory.join(format!("{name}.crt")), params.signed_by(&key, issuer)?.pem())?;
    Ok(fs::write(directory.join(format!("{name}.key")), key.serialize_pem())?)
}

fn kubeconfig(directory: &Path, user: &str) -> String {
    let (directory, server) = (directory.display(), network::address(1));
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: ordermill\n\
         clusters:\n- name: ordermill\n  cluster: {{server: \"https://{server}:6443\", certificate-authority: {directory}/ca.crt}}\n\
         users:\n- name: {user}\n  user: {{client-certificate: {directory}/{user}.crt, client-key: {directory}/{user}.key}}\n\
         contexts:\n- name: ordermill\n  context: {{cluster: ordermill, user: {user}}}\n"
    )
}
