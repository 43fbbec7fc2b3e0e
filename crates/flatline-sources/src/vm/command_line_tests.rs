//! Command lines, recorded and composed.

use super::*;
use proptest::prelude::*;
use std::path::Path;

fn joined<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Vec<u8> {
    arguments.into_iter().flat_map(|argument| [argument.as_ref().as_bytes(), b"\0"].concat()).collect()
}

fn fixture(name: &str) -> CommandLine {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/vm/command-lines");
    let content = std::fs::read(directory.join(name).with_extension("json")).expect("a fixture");
    parse(&joined(serde_json::from_slice::<Vec<String>>(&content).expect("a list of arguments")))
}

fn given(arguments: &[&str]) -> Vec<DiskDevice> {
    parse(&joined(arguments)).disks
}

/// One line a disk: id, drive, model, controller, its id, I/O thread, kind of I/O; `-` for what is not known.
fn table(disks: &[DiskDevice]) -> Vec<String> {
    let line = |disk: &DiskDevice| {
        let DiskDevice { id, drive, model, controller, controller_id, iothread, aio } = disk;
        [id, drive, &Some(model.clone()), controller, controller_id, iothread, aio]
            .map(|value| value.as_deref().unwrap_or("-"))
            .join(" ")
    };
    disks.iter().map(line).collect()
}

#[test]
fn reads_recorded_command_lines() {
    for (name, disk) in [
        ("lab-lsi-nbd", "scsi0 drive-scsi0 scsi-hd lsi53c895a scsihw0 - -"),
        ("lab-vblk-nbd", "virtio0 drive-scsi0 virtio-blk-pci virtio-blk-pci virtio0 iothread-scsi0 -"),
        ("lab-vscsi-throttle1", "scsi0 drive-scsi0 scsi-hd virtio-scsi-pci virtioscsi0 iothread-scsi0 io_uring"),
    ] {
        let line = fixture(name);
        assert_eq!(line.name.as_deref(), name.strip_prefix("lab-"));
        assert_eq!(table(&line.disks), [disk], "{name}");
    }
}

#[test]
fn reads_proxmox_8() {
    let line = fixture("proxmox-8");
    assert_eq!(line.name.as_deref(), Some("devvm"));
    assert_eq!(
        table(&line.disks),
        [
            "ide2 drive-ide2 ide-cd - - - io_uring",
            "scsi0 drive-scsi0 scsi-hd virtio-scsi-pci virtioscsi0 iothread-virtioscsi0 native",
            "virtio1 drive-virtio1 virtio-blk-pci virtio-blk-pci virtio1 - io_uring",
            "sata0 drive-sata0 ide-hd ahci ahci0 - io_uring",
        ]
    );
}

#[test]
fn reads_proxmox_9() {
    assert_eq!(
        table(&fixture("proxmox-9").disks),
        [
            "scsi0 drive-scsi0 scsi-hd virtio-scsi-pci virtioscsi0 iothread-virtioscsi0 native",
            "virtio1 drive-virtio1 virtio-blk-pci virtio-blk-pci virtio1 iothread-virtio1 io_uring",
            "scsi14 drive-scsi14 scsi-hd lsi scsihw1 - io_uring",
            "scsi2 - scsi-cd virtio-scsi-pci virtioscsi0 iothread-virtioscsi0 -",
        ]
    );
}

#[test]
fn reads_libvirt_10() {
    let line = fixture("libvirt-10");
    assert_eq!(line.name.as_deref(), Some("web"));
    assert_eq!(
        table(&line.disks),
        [
            "virtio-disk0 libvirt-3-format virtio-blk-pci virtio-blk-pci virtio-disk0 multiple native",
            "scsi0-0-0-0 libvirt-2-storage scsi-hd virtio-scsi-pci scsi0 iothread1 io_uring",
            "sata0-0-0 - ide-cd - - - -",
        ]
    );
}

#[test]
fn short_forms_are_understood_as_far_as_they_say() {
    let disks = given(&[
        "qemu-system-x86_64",
        "--device",
        "virtio-scsi-pci,id=s,iothread=t",
        "-drive",
        "file=a.img,if=virtio,aio=threads",
        "-drive",
        "file=b.img,if=virtio",
        "-drive",
        "file=c.img,if=virtio,id=c",
        "-drive",
        "if=scsi,file=d.img",
        "-drive",
        "if=ide,media=cdrom",
        "-drive",
        "file=e.img",
        "-hda",
        "f.img",
        "-device",
        "scsi-hd,drive=x",
    ]);
    let expected = [
        "- x scsi-hd virtio-scsi-pci s t -",
        "- virtio0 virtio-blk virtio-blk - - threads",
        "- virtio1 virtio-blk virtio-blk - - -",
        "- c virtio-blk virtio-blk - - -",
        "- - scsi-hd virtio-scsi-pci s t -",
        "- - ide-cd - - - -",
    ];
    assert_eq!(table(&disks), expected);
}

#[test]
fn of_two_controllers_none_is_guessed() {
    let arguments = ["-device", "lsi,id=a", "-device", "virtio-scsi-pci,id=b", "-device", "scsi-hd,drive=x,id=y"];
    assert_eq!(table(&given(&arguments)), ["y x scsi-hd - - - -"]);
}

#[test]
fn the_disks_of_nvme_are_its_namespaces_or_itself() {
    let arguments = ["-device", "nvme,id=n", "-device", "nvme-ns,bus=n,drive=x", "-device", "nvme,id=m,drive=y"];
    assert_eq!(table(&given(&arguments)), ["- x nvme-ns nvme n - -", "m y nvme nvme m - -"]);
}

#[test]
fn mappings_in_either_form_are_several_threads() {
    let keys = "virtio-blk-pci,id=v,drive=d,iothread-vq-mapping.0.iothread=a,iothread-vq-mapping.1.iothread=b";
    assert_eq!(table(&given(&["-device", keys])), ["v d virtio-blk-pci virtio-blk-pci v multiple -"]);
}

#[test]
fn block_nodes_in_a_circle_end() {
    let arguments =
        ["-blockdev", "raw,node-name=a,file=b", "-blockdev", "raw,node-name=b,file=a", "-device", "nvme,drive=a"];
    assert_eq!(table(&given(&arguments)), ["- a nvme nvme - - -"]);
}

#[test]
fn a_cut_command_line_loses_its_end_only() {
    assert_eq!(given(&["-device", "nvme,drive=a", "-device"]).len(), 1);
    assert_eq!(parse(b""), CommandLine::default());
}

#[test]
fn only_a_qemu_is_read() {
    let tree = tempfile::tempdir().expect("a directory");
    let process = tree.path().join("proc/7");
    std::fs::create_dir_all(&process).expect("a directory");
    let is = |comm: &str, cmdline: &[u8]| {
        let stat = format!("7 ({comm}) S 1 7 7 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0\n");
        std::fs::write(process.join("stat"), stat).expect("a file");
        std::fs::write(process.join("cmdline"), cmdline).expect("a file");
        read_command_line(&Roots::under(tree.path()), 7)
    };
    assert_eq!(is("kvm", b"kvm\0-name\0web\0").expect("a QEMU").name.as_deref(), Some("web"));
    assert!(is("qemu-system-x86", b"q\0").is_ok());
    let refused = is("bash", b"bash\0-name\0web\0").expect_err("no QEMU");
    assert!(refused.detail.contains("\"bash\" is no QEMU"), "{refused}");
    assert_eq!(is("kvm", b"").expect_err("empty").fault, Fault::InvalidContent);
    assert_eq!(is("kvm", &vec![0; COMMAND_LINE + 1]).expect_err("huge").fault, Fault::TooLarge);
    let gone = read_command_line(&Roots::under(tree.path()), 8).expect_err("no such process");
    assert_eq!((gone.fault, gone.path.ends_with("proc/8/cmdline")), (Fault::NotFound, true));
}

proptest! {
    #[test]
    fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn survives_what_looks_like_a_command_line(arguments in proptest::collection::vec(
        "-(device|drive|blockdev|name)|(nvme|scsi-hd|raw|if)(,|=)?[a-c.,={}\"]{0,20}|(id|bus|drive|file|node-name)=[a-c](,file=[a-c])?", 0..30)) {
        let disks = parse(&joined(&arguments)).disks;
        prop_assert!(disks.len() <= arguments.len());
    }

    #[test]
    fn ids_round_trip(id in "[a-z][a-z0-9,=-]{0,12}", thread in "[a-z][a-z0-9,-]{0,12}") {
        let escaped = |text: &str| text.replace(',', ",,");
        let keys = format!("virtio-blk-pci,id={},iothread={}", escaped(&id), escaped(&thread));
        let json = serde_json::json!({"driver": "virtio-blk-pci", "id": id, "iothread": thread}).to_string();
        let from_keys = given(&["-device", &keys]);
        prop_assert_eq!(&from_keys, &given(&["-device", &json]));
        prop_assert_eq!(from_keys[0].id.as_deref(), Some(id.as_str()));
        prop_assert_eq!(from_keys[0].iothread.as_deref(), Some(thread.as_str()));
    }
}
