//! The fuzzing targets with inputs that are changed at random: what can be had without libFuzzer.
//!
//! `SKYMARGIN_FUZZ_CASES` sets the number of inputs of each target (the default is for every day), `SKYMARGIN_SEED` the
//! random numbers, `SKYMARGIN_FUZZ_CORPUS` a folder with a folder of inputs for each target.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use skymargin_fuzz::handmade::{Column, data_page, dictionary_page};
use skymargin_fuzz::targets::{self, TARGETS};
use skymargin_fuzz::watch_panics;

type Corpus = HashMap<&'static str, Vec<Vec<u8>>>;

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |value| value.parse().expect(variable))
}

/// Inputs in the form that each target has: those of a folder, or a few that are made here.
fn corpus() -> Corpus {
    let Ok(folder) = std::env::var("SKYMARGIN_FUZZ_CORPUS") else { return made_corpus() };
    let inputs = |target: &str| -> Vec<Vec<u8>> {
        let mut files: Vec<_> =
            std::fs::read_dir(Path::new(&folder).join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
    };
    TARGETS.iter().map(|(target, _)| (*target, inputs(target))).collect()
}

fn made_corpus() -> Corpus {
    let files: Vec<Vec<u8>> = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0].map(file).into();
    let footers = files.iter().map(|file| {
        let (rest, length) = file[..file.len() - 4].split_last_chunk::<4>().unwrap();
        rest[rest.len() - u32::from_le_bytes(*length) as usize..].to_vec()
    });
    HashMap::from([
        ("footer", footers.collect()),
        ("page_header", vec![[&[2, 0, 0, 4][..], &integers()].concat(), [&[6, 0, 1, 7][..], &texts()].concat()]),
        ("page_body", bodies()),
        ("scan", files),
    ])
}

/// Four integers, in two pages.
fn integers() -> Vec<u8> {
    let page = |values: [i64; 2]| [data_page(2, 0, 16, 16), values.map(i64::to_le_bytes).concat()].concat();
    [page([1, 2]), page([-1, i64::MAX])].concat()
}

/// Seven texts, of which two are null, by a dictionary of three.
fn texts() -> Vec<u8> {
    let dictionary = b"\x01\0\0\0a\x02\0\0\0bc\0\0\0\0";
    // Levels: bits 1011011. Indices of 2 bits: 0 1 2 0 1.
    let body = [2, 0, 0, 0, 0b11, 0b110_1101, 2, 0b11, 0b0010_0100, 0b01];
    [dictionary_page(3, 15, 15), dictionary.to_vec(), data_page(7, 8, 10, 10), body.to_vec()].concat()
}

fn bodies() -> Vec<Vec<u8>> {
    let with = |about: [u8; 10], body: &[u8]| [&about[..], body].concat();
    vec![
        // Plain integers; optional ones of version 2, of which none is null.
        with([2, 0, 0, 2, 0, 0, 0, 0, 0, 0], &[0; 16]),
        with([1, 0, 1, 3, 0, 1, 0, 0, 2, 0], &[6, 1, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]),
        // A page of nulls and one value in delta encodings, as DuckDB writes them.
        with([2, 0, 1, 4, 4, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 8, 0, 0x80, 0x10, 8, 0, 0]),
        with([2, 0, 0, 1, 4, 0, 0, 0, 0, 0], &[0x80, 0x10, 8, 1, 0x10]),
        // Booleans in runs, split bytes, and a dictionary of one value.
        with([0, 0, 0, 9, 2, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 18, 1]),
        with([4, 0, 0, 2, 8, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 128, 0, 63, 64]),
        with([5, 0, 0, 3, 7, 4, 0, 0, 1, 1], &[0, 0, 0, 0, 0, 0, 248, 63, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6, 0]),
        // Two lists of two values.
        with([1, 0, 2, 4, 0, 0, 0, 0, 0, 0], &{
            let levels = [2, 0, 0, 0, 3, 0b1010, 2, 0, 0, 0, 8, 1];
            [&levels[..], &[0; 16]].concat()
        }),
    ]
}

fn file(version: WriterVersion) -> Vec<u8> {
    const ROWS: i64 = 60;
    let some = |row: i64| (row % 7 > 0).then_some(row);
    let degrees = |step: f64| Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 * step));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("index", Arc::new(Int64Array::from_iter_values(0..ROWS))),
        ("ra", Arc::new(degrees(1.0))),
        ("dec", Arc::new(degrees(-0.5))),
        ("flag", Arc::new((0..ROWS).map(|row| some(row).map(|row| row % 2 == 0)).collect::<BooleanArray>())),
        ("number", Arc::new((0..ROWS).map(|row| some(row).map(|row| row as i32)).collect::<Int32Array>())),
        ("name", Arc::new((0..ROWS).map(|row| some(row).map(|row| format!("n{}", row % 9))).collect::<StringArray>())),
        ("when", Arc::new((0..ROWS).map(some).collect::<TimestampMicrosecondArray>())),
        ("blob", Arc::new((0..ROWS).map(|row| some(row).map(|row| row.to_le_bytes())).collect::<BinaryArray>())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(10)
        .set_max_row_group_row_count(Some(40))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Random numbers, the same on each machine: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// An input with up to four changes.
fn mutated(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = bytes.len().min(at + 1 + random.below(8));
        match random.below(7) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let more: Vec<u8> = (0..1 + random.below(8)).map(|_| random.next() as u8).collect();
                drop(bytes.splice(at..at, more));
            }
            // The end of another input.
            5 => {
                let other = &inputs[random.below(inputs.len())];
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len())..]);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

#[test]
fn no_input_makes_a_target_panic() {
    let own: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&own);
    watch_panics(move |message| {
        eprintln!("{message}");
        kept.lock().unwrap().push(message.to_string());
    });
    let (cases, seed) = (number("SKYMARGIN_FUZZ_CASES", 2_000), number("SKYMARGIN_SEED", 20_261_128));
    let corpus = corpus();
    for (name, target) in TARGETS {
        let inputs = &corpus[name];
        let mut random = Random(seed);
        let (mut read, mut refused) = (0_u64, 0_u64);
        let mut run = |input: &[u8]| {
            let ended = std::panic::catch_unwind(|| target(input));
            let messages = std::mem::take(&mut *own.lock().unwrap());
            assert!(ended.is_ok() && messages.is_empty(), "{name}, seed {seed}: {messages:?} with {input:02x?}");
            *(if ended.unwrap_or(false) { &mut read } else { &mut refused }) += 1;
        };
        inputs.iter().for_each(|input| run(input));
        (0..cases).for_each(|_| run(&mutated(inputs, &mut random)));
        println!("{name}: seed {seed}, {read} read, {refused} refused");
    }
}

#[test]
fn inputs_that_ended_the_process_are_refused() {
    // Levels of the oldest encoding, and behind them a delta encoding that claims 2^58 values.
    let claim = [0x80, 1, 4, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 4, 2, 0, 0, 0, 0, 0];
    let body = [&[0xff][..], &claim].concat();
    let mut header = data_page(7, 7, body.len() as i32, body.len() as i32);
    // The encoding of definition levels, before that of repetition levels and two ends.
    let at = header.len() - 6;
    assert_eq!(header[at..], [0x15, 6, 0x15, 6, 0, 0][..], "{header:02x?}");
    header[at + 1] = 8;
    assert!(!targets::page_header(&[&[6, 0, 1, 7][..], &header, &body].concat()));
}

#[test]
fn inputs_that_were_read_without_end_are_refused() {
    // Repeated floats of version 2: eight repetition levels, a run of none, and 16 levels more, unless what follows the
    // number of that run is read as another run.
    let levels = [1 << 1 | 1, 0b1110_1110, 0, 4, 2 << 1 | 1, 0b1010_1000, 0b1010_1000];
    let about = [4, 0, 2, 24, 0, 1, 0, 0, 2, levels.len() as u8];
    assert!(!targets::page_body(&[&about[..], &levels, &[24 << 1, 1], &[0; 96]].concat()));
    // A footer whose version is a text: one that takes its length for the number reads a list of 2^31 - 1 booleans next,
    // for which no bytes are there.
    assert!(!targets::footer(&[0x18, 7, 0x99, 0xf1, 0xff, 0xff, 0xff, 0xff, 7, 0]));
}

#[test]
fn the_inputs_that_are_changed_are_right() {
    let corpus = made_corpus();
    for (name, target) in TARGETS {
        for input in &corpus[name] {
            // The pages of a footer alone are not there.
            assert_eq!(target(input), name != "footer", "{name}: {input:02x?}");
        }
    }
}

#[test]
fn a_column_made_by_hand_has_the_rows_that_it_says() {
    for repetition in 0..3 {
        let column = Column { physical: 1, codec: 0, repetition, values: 7, pages: &[], data_start: 0 };
        assert_eq!(column.rows(), if repetition == 2 { 4 } else { 7 });
    }
    assert!(!targets::page_body(&[1; 9]) && !targets::page_header(&[1; 3]));
}
