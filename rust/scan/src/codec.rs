//! Decompression of pages, limited by the size in the page header and by the largest ratio of the codec.

use std::cell::RefCell;
use std::io::Read;

use parquet::basic::Compression;

use crate::try_reserve;

/// Why a page did not decompress, for the error message; empty when only the length is wrong.
pub(super) type Reason = String;

thread_local! {
    static OWN: RefCell<Codecs> = RefCell::default();
}

/// Uses the decompressors of this thread.
pub(super) fn with_codecs<T>(run: impl FnOnce(&mut Codecs) -> T) -> T {
    OWN.with_borrow_mut(run)
}

/// Decompressors, kept from page to page because setting one up costs as much as a small page.
#[derive(Default)]
pub(super) struct Codecs {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    snappy: snap::raw::Decoder,
}

impl Codecs {
    /// Decompresses `input`, which must fill `output` exactly. Call [`check_claim`] before allocating `output`.
    pub(super) fn decompress(&mut self, codec: Compression, input: &[u8], output: &mut [u8]) -> Result<(), Reason> {
        let written = match codec {
            Compression::UNCOMPRESSED if input.len() == output.len() => {
                output.copy_from_slice(input);
                input.len()
            }
            Compression::UNCOMPRESSED => return Err(Reason::new()),
            Compression::ZSTD(_) => {
                let decompressor = match &mut self.zstd {
                    Some(decompressor) => decompressor,
                    none => none.insert(zstd::bulk::Decompressor::new().map_err(reason)?),
                };
                decompressor.decompress_to_buffer(input, output).map_err(reason)?
            }
            Compression::SNAPPY => self.snappy.decompress(input, output).map_err(reason)?,
            Compression::GZIP(_) => fill(flate2::read::MultiGzDecoder::new(input), output)?,
            Compression::BROTLI(_) => fill(brotli_decompressor::Decompressor::new(input, 4096), output)?,
            Compression::LZ4_RAW => lz4_flex::block::decompress_into(input, output).map_err(reason)?,
            Compression::LZ4 => lz4_of_any_age(input, output)?,
            Compression::LZO => return Err(" because it is not supported".into()),
        };
        if written == output.len() { Ok(()) } else { Err(Reason::new()) }
    }
}

/// Checks whether `input` can decompress to `wanted` bytes, by the sizes in its own format.
pub(super) fn check_claim(codec: Compression, input: &[u8], wanted: usize) -> Result<(), Reason> {
    let told = stated_size(codec, input);
    if told.is_some_and(|told| told != wanted) || wanted as u64 > reach(codec, input.len()) {
        return Err(format!(" from {} bytes", input.len()));
    }
    Ok(())
}

/// The decompressed size that compressed bytes state themselves, where their format does.
pub(super) fn stated_size(codec: Compression, input: &[u8]) -> Option<usize> {
    match codec {
        Compression::UNCOMPRESSED => Some(input.len()),
        Compression::SNAPPY => snap::raw::decompress_len(input).ok(),
        Compression::ZSTD(_) => match zstd::zstd_safe::find_frame_compressed_size(input) {
            // Every writer makes one frame. The size in the first of several says nothing about the others.
            Ok(length) if length == input.len() => {
                zstd::zstd_safe::get_frame_content_size(input).ok().flatten().map(|bytes| bytes as usize)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The name of a compression for messages.
pub(super) fn name(codec: Compression) -> &'static str {
    match codec {
        Compression::UNCOMPRESSED => "no compression",
        Compression::SNAPPY => "snappy",
        Compression::GZIP(_) => "gzip",
        Compression::LZO => "lzo",
        Compression::BROTLI(_) => "brotli",
        Compression::LZ4 | Compression::LZ4_RAW => "lz4",
        Compression::ZSTD(_) => "zstd",
    }
}

/// Whether pages of this compression can be read.
pub(super) fn is_supported(codec: Compression) -> bool {
    codec != Compression::LZO
}

/// The first `wanted` bytes of what `input` decompresses to, or all of it; `input` may itself be only a beginning.
///
/// The result is shorter than `wanted` when `input` ends too soon or is damaged.
pub(super) fn prefix(codec: Compression, input: &[u8], wanted: usize) -> Vec<u8> {
    let mut output = Vec::new();
    if try_reserve::check(wanted).is_err() {
        return output;
    }
    // Whatever stops the decoder, the bytes before that point are correct.
    let _ = match codec {
        Compression::UNCOMPRESSED => read_up_to(input, wanted, &mut output),
        Compression::ZSTD(_) => match zstd::stream::read::Decoder::new(input) {
            Ok(decoder) => read_up_to(decoder, wanted, &mut output),
            Err(error) => Err(reason(error)),
        },
        Compression::GZIP(_) => read_up_to(flate2::read::MultiGzDecoder::new(input), wanted, &mut output),
        Compression::BROTLI(_) => read_up_to(brotli_decompressor::Decompressor::new(input, 4096), wanted, &mut output),
        Compression::SNAPPY => snappy_prefix(input, wanted, &mut output).ok_or_else(Reason::new),
        Compression::LZ4_RAW => lz4_prefix(input, wanted, &mut output).ok_or_else(Reason::new),
        // The framing depends on the version of the writer, so these pages are decompressed completely.
        Compression::LZ4 | Compression::LZO => Ok(()),
    };
    output.truncate(wanted);
    output
}

/// The largest size to which that many compressed bytes can decompress.
///
/// Snappy copies up to 64 bytes by 3, LZ4 255 by 1, deflate 258 by 2 bits, and a zstd block of 4 bytes repeats one
/// byte 128 KiB times. Brotli copies up to 16 MiB by some bytes and is bounded by the header's claim alone.
fn reach(codec: Compression, input_bytes: usize) -> u64 {
    let input_bytes = input_bytes as u64;
    match codec {
        Compression::UNCOMPRESSED => input_bytes,
        Compression::SNAPPY => input_bytes * 64,
        Compression::GZIP(_) => input_bytes * 1032,
        Compression::LZ4 | Compression::LZ4_RAW => input_bytes * 256,
        Compression::ZSTD(_) => input_bytes * 32 * 1024 + 128 * 1024,
        Compression::BROTLI(_) | Compression::LZO => u64::MAX,
    }
}

fn reason(error: impl std::fmt::Display) -> Reason {
    format!(": {error}")
}

/// Reads until the output is full, and one more byte to detect a stream that is too long.
fn fill(mut stream: impl Read, output: &mut [u8]) -> Result<usize, Reason> {
    stream.read_exact(output).map_err(reason)?;
    let more = stream.read(&mut [0]).map_err(reason)?;
    Ok(output.len() + more)
}

fn read_up_to(stream: impl Read, wanted: usize, output: &mut Vec<u8>) -> Result<(), Reason> {
    stream.take(wanted as u64).read_to_end(output).map(|_| ()).map_err(reason)
}

/// `LZ4` in a footer means Hadoop's framing, the LZ4 frame of old parquet-cpp, or a raw block, depending on the writer.
fn lz4_of_any_age(input: &[u8], output: &mut [u8]) -> Result<usize, Reason> {
    if lz4_hadoop(input, output).is_some()
        || fill(lz4_flex::frame::FrameDecoder::new(input), output) == Ok(output.len())
    {
        return Ok(output.len());
    }
    lz4_flex::block::decompress_into(input, output).map_err(reason)
}

/// Blocks, each after its decompressed and its compressed length as big-endian u32.
fn lz4_hadoop(mut input: &[u8], mut output: &mut [u8]) -> Option<()> {
    while let Some((head, rest)) = input.split_first_chunk::<8>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let block_bytes = u32::from_be_bytes([a, b, c, d]) as usize;
        let compressed_bytes = u32::from_be_bytes([e, f, g, h]) as usize;
        let (block, rest) = rest.split_at_checked(compressed_bytes)?;
        let (into, left) = output.split_at_mut_checked(block_bytes)?;
        if lz4_flex::block::decompress_into(block, into).ok()? != block_bytes {
            return None;
        }
        (input, output) = (rest, left);
    }
    (input.is_empty() && output.is_empty()).then_some(())
}

/// A cursor for the two block formats. A read past the end ends the prefix.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(usize::from(*first))
    }

    fn little_endian(&mut self, bytes: usize) -> Option<usize> {
        let mut value = 0;
        for shift in 0..bytes {
            value |= self.byte()? << (8 * shift);
        }
        Some(value)
    }

    fn literal(&mut self, length: usize, output: &mut Vec<u8>) -> Option<()> {
        let taken = length.min(self.0.len());
        output.extend_from_slice(&self.0[..taken]);
        self.0 = &self.0[taken..];
        (taken == length).then_some(())
    }
}

/// Appends bytes from `distance` back, which may be bytes that this copy itself appends.
fn copy_back(distance: usize, length: usize, output: &mut Vec<u8>) -> Option<()> {
    let from = output.len().checked_sub(distance).filter(|_| distance > 0)?;
    for at in from..from + length {
        output.push(output[at]);
    }
    Some(())
}

/// Snappy's block format up to `wanted` bytes (format_description.txt of google/snappy).
fn snappy_prefix(input: &[u8], wanted: usize, output: &mut Vec<u8>) -> Option<()> {
    let mut input = Input(input);
    while input.byte()? & 0x80 != 0 {}
    while output.len() < wanted {
        let Some(tag) = input.byte() else { return Some(()) };
        let (distance, length) = match tag & 3 {
            0 => {
                let length = match tag >> 2 {
                    short @ 0..60 => short,
                    long => input.little_endian(long - 59)?,
                };
                input.literal(length + 1, output)?;
                continue;
            }
            1 => ((tag >> 5) << 8 | input.byte()?, 4 + ((tag >> 2) & 7)),
            2 => (input.little_endian(2)?, (tag >> 2) + 1),
            _ => (input.little_endian(4)?, (tag >> 2) + 1),
        };
        copy_back(distance, length, output)?;
    }
    Some(())
}

/// An LZ4 block up to `wanted` bytes (lz4_Block_format.md of lz4/lz4).
fn lz4_prefix(input: &[u8], wanted: usize, output: &mut Vec<u8>) -> Option<()> {
    let mut input = Input(input);
    let length_of = |nibble: usize, input: &mut Input<'_>| {
        let mut length = nibble;
        if nibble == 15 {
            loop {
                let more = input.byte()?;
                length += more;
                if more < 255 {
                    break;
                }
            }
        }
        Some(length)
    };
    while output.len() < wanted {
        let Some(token) = input.byte() else { return Some(()) };
        let literals = length_of(token >> 4, &mut input)?;
        input.literal(literals, output)?;
        if input.0.is_empty() {
            return Some(());
        }
        let distance = input.little_endian(2)?;
        let length = length_of(token & 15, &mut input)? + 4;
        // A damaged length is at most 255 times the input; bytes beyond the prefix are not needed.
        copy_back(distance, length.min(wanted), output)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::basic::{BrotliLevel, GzipLevel, ZstdLevel};
    use proptest::prelude::*;
    use std::io::Write;

    const CODECS: [fn() -> Compression; 6] = [
        || Compression::UNCOMPRESSED,
        || Compression::ZSTD(ZstdLevel::default()),
        || Compression::GZIP(GzipLevel::default()),
        || Compression::SNAPPY,
        || Compression::LZ4_RAW,
        || Compression::BROTLI(BrotliLevel::default()),
    ];

    fn compressed(codec: Compression, content: &[u8]) -> Vec<u8> {
        match codec {
            Compression::ZSTD(_) => zstd::bulk::compress(content, 3).unwrap(),
            Compression::GZIP(_) => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Compression::SNAPPY => snap::raw::Encoder::new().compress_vec(content).unwrap(),
            Compression::LZ4_RAW => lz4_flex::block::compress(content),
            // No encoder at hand: the tests that write files cover it.
            _ => content.to_vec(),
        }
    }

    /// Content with runs, repeats and noise, so that every kind of copy occurs.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            (any::<u8>(), 1..300_usize).prop_map(|(byte, length)| vec![byte; length]),
            proptest::collection::vec(any::<u8>(), 1..100),
            (1..40_usize).prop_map(|n| b"an all-sky catalog ".repeat(n)),
        ];
        proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    fn decompressed(codec: Compression, packed: &[u8], wanted: usize) -> Result<Vec<u8>, Reason> {
        check_claim(codec, packed, wanted)?;
        // The bytes that an earlier page left in the buffer must not appear.
        let mut output = vec![0xa5; wanted];
        Codecs::default().decompress(codec, packed, &mut output).map(|()| output)
    }

    proptest! {
        #[test]
        fn whole_and_prefix_agree_with_the_content(content in content(), wanted in 0..4000_usize, which in 0..5_usize) {
            let codec = CODECS[which]();
            let packed = compressed(codec, &content);
            prop_assert_eq!(decompressed(codec, &packed, content.len()), Ok(content.clone()));
            prop_assert!(decompressed(codec, &packed, content.len() + 1).is_err());
            if !content.is_empty() {
                prop_assert!(decompressed(codec, &packed, content.len() - 1).is_err());
            }
            let first = prefix(codec, &packed, wanted);
            prop_assert_eq!(&first[..], &content[..wanted.min(content.len())]);
            // A beginning of the input gives a beginning of the content.
            let part = prefix(codec, &packed[..packed.len() / 2], wanted);
            prop_assert!(content.starts_with(&part));
        }

        #[test]
        fn damage_never_panics(
            mut packed in proptest::collection::vec(any::<u8>(), 0..300),
            wanted in 0..100_000_usize,
            which in 0..6_usize,
            valid in any::<bool>(),
            flip in any::<proptest::sample::Index>(),
        ) {
            let codec = CODECS[which]();
            if valid {
                packed = compressed(codec, &packed);
            }
            if !packed.is_empty() {
                let at = flip.index(packed.len());
                packed[at] ^= 0x11;
            }
            let _ = decompressed(codec, &packed, wanted);
            prop_assert!(prefix(codec, &packed, wanted).len() <= wanted);
        }
    }

    #[test]
    fn claims_that_the_bytes_belie_are_refused() {
        let content = [0; 100];
        let snappy = snap::raw::Encoder::new().compress_vec(&content).unwrap();
        assert!(check_claim(Compression::SNAPPY, &snappy, 100).is_ok());
        assert!(check_claim(Compression::SNAPPY, &snappy, 101).is_err());
        let zstd = zstd::bulk::compress(&content, 3).unwrap();
        assert!(check_claim(Compression::ZSTD(ZstdLevel::default()), &zstd, 100).is_ok());
        assert!(check_claim(Compression::ZSTD(ZstdLevel::default()), &zstd, 101).is_err());
        let gzip = compressed(Compression::GZIP(GzipLevel::default()), &content);
        assert!(check_claim(Compression::GZIP(GzipLevel::default()), &gzip, 1 << 30).is_err());
    }

    #[test]
    fn lz4_of_every_age_is_read() {
        let content = b"the sky, twice: the sky".repeat(20);
        let block = lz4_flex::block::compress(&content);
        let mut hadoop = (content.len() as u32).to_be_bytes().to_vec();
        hadoop.extend((block.len() as u32).to_be_bytes());
        hadoop.extend(&block);
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(&content).unwrap();
        for packed in [hadoop, frame.finish().unwrap(), block] {
            assert_eq!(decompressed(Compression::LZ4, &packed, content.len()), Ok(content.clone()));
        }
    }
}
