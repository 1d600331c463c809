//! Whoever builds with Docker gets the same images.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ordermill_image::shipped;

const DOCKERFILE: &str = include_str!("../../../Dockerfile");

#[test]
fn the_dockerfile_makes_the_same_images() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["ordermill", "ordermill-operator"] {
        std::fs::copy(std::env::current_exe().unwrap(), directory.path().join(name)).unwrap();
    }
    let images = shipped(directory.path(), "example.org/team", "1").unwrap();
    for ((file, image), stage) in images.iter().zip(["ordermill", "operator"]) {
        let binary = file.trim_end_matches(".tar");
        assert_eq!(image.name, format!("example.org/team/{binary}:1"));
        let stage = format!("FROM scratch AS {stage}\n");
        let stage = DOCKERFILE.split(&stage).nth(1).unwrap().split("\nFROM ").next().unwrap();
        let says = |line: &str| assert!(stage.lines().any(|other| other == line), "no {line:?} in {stage}");
        says(&format!("COPY --from=build /built/{binary} /{binary}"));
        says("USER 65532:65532");
        says(&format!("EXPOSE {}", image.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")));
        says(&format!("ENTRYPOINT [\"/{binary}\"]"));
        says(&format!("CMD {:?}", image.arguments));
        for directory in &image.directories {
            says(&format!("COPY --from=build --chown=65532:65532 /built/data {}", directory.display()));
            says(&format!("VOLUME {}", directory.display()));
        }
    }
}
