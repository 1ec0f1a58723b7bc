//! Codecs with contexts that are kept: making one takes longer than compressing a small page.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use lz4_flex::block::CompressTable;

use crate::parquet::error::WriteError;
use crate::parquet::options::Codec;

/// The gzip header: deflate, no name, no time, made on any system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const GZIP_TRAILER_BYTES: usize = 8;
const BROTLI_WINDOW_BITS: i32 = 22;

/// Contexts and buffers of one thread, for all files that it writes.
#[derive(Default)]
pub struct Compressors {
    contexts: Contexts,
    /// The body of a page before it is compressed.
    pub(super) body: Vec<u8>,
    /// A compressed page.
    pub(super) page: Vec<u8>,
    /// The pages of a column chunk.
    pub(super) chunk: Vec<u8>,
    /// The end of a file.
    pub(super) tail: Vec<u8>,
}

#[derive(Default)]
struct Contexts {
    zstd: Option<(i32, zstd::bulk::Compressor<'static>)>,
    deflate: Option<(u32, Compress)>,
    snappy: Option<snap::raw::Encoder>,
    lz4: Option<CompressTable>,
}

impl Compressors {
    /// Compresses the body of a page into `self.page`. The same bytes come of the same body, whatever came before.
    pub(super) fn compress(&mut self, codec: Codec, body: &[u8]) -> Result<(), WriteError> {
        let Self { contexts, page, .. } = self;
        page.clear();
        match codec {
            Codec::Uncompressed => {
                reserve(page, body.len())?;
                page.extend_from_slice(body);
            }
            Codec::Snappy => {
                let bound = snap::raw::max_compress_len(body.len());
                if bound == 0 {
                    return Err(WriteError::Compress(format!("{} bytes are too many for Snappy", body.len())));
                }
                fill(page, bound)?;
                let encoder = contexts.snappy.get_or_insert_with(snap::raw::Encoder::new);
                let bytes = encoder.compress(body, page).map_err(|error| WriteError::Compress(error.to_string()))?;
                page.truncate(bytes);
            }
            Codec::Gzip(level) => contexts.gzip(level, body, page)?,
            Codec::Brotli(level) => {
                let params = brotli::enc::BrotliEncoderParams {
                    quality: level as i32,
                    lgwin: BROTLI_WINDOW_BITS,
                    size_hint: body.len(),
                    ..Default::default()
                };
                let mut source = body;
                brotli::BrotliCompress(&mut source, page, &params)
                    .map_err(|error| WriteError::Compress(error.to_string()))?;
            }
            Codec::Lz4Raw => {
                fill(page, lz4_flex::block::get_maximum_output_size(body.len()))?;
                let table = contexts.lz4.get_or_insert_default();
                let bytes = lz4_flex::block::compress_into_with_table(body, page, table)
                    .map_err(|error| WriteError::Compress(error.to_string()))?;
                page.truncate(bytes);
            }
            Codec::Zstd(level) => {
                reserve(page, zstd::zstd_safe::compress_bound(body.len()))?;
                let compress = contexts.zstd(level).and_then(|context| context.compress_to_buffer(body, page));
                compress.map_err(|error| WriteError::Compress(error.to_string()))?;
            }
        }
        Ok(())
    }
}

impl Contexts {
    fn zstd(&mut self, level: i32) -> std::io::Result<&mut zstd::bulk::Compressor<'static>> {
        if self.zstd.as_ref().is_none_or(|(of, _)| *of != level) {
            self.zstd = None;
        }
        match &mut self.zstd {
            Some((_, context)) => Ok(context),
            empty => Ok(&mut empty.insert((level, zstd::bulk::Compressor::new(level)?)).1),
        }
    }

    fn gzip(&mut self, level: u32, body: &[u8], page: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.deflate.as_ref().is_none_or(|(of, _)| *of != level) {
            self.deflate = Some((level, Compress::new(Compression::new(level), false)));
        }
        let Some((_, context)) = &mut self.deflate else { return Ok(()) };
        context.reset();
        // Deflate stores what does not compress, with 5 bytes for each block of up to 64 kB.
        reserve(page, GZIP_HEADER.len() + body.len() + body.len() / 1000 + 64 + GZIP_TRAILER_BYTES)?;
        page.extend_from_slice(&GZIP_HEADER);
        loop {
            let done = context.total_in() as usize;
            let status = context
                .compress_vec(&body[done..], page, FlushCompress::Finish)
                .map_err(|error| WriteError::Compress(error.to_string()))?;
            if status == Status::StreamEnd {
                break;
            }
            let more = page.capacity();
            reserve(page, more)?;
        }
        let mut checksum = Crc::new();
        checksum.update(body);
        reserve(page, GZIP_TRAILER_BYTES)?;
        page.extend_from_slice(&checksum.sum().to_le_bytes());
        page.extend_from_slice(&checksum.amount().to_le_bytes());
        Ok(())
    }
}

/// Makes space for more bytes.
pub(super) fn reserve(buffer: &mut Vec<u8>, bytes: usize) -> Result<(), WriteError> {
    buffer.try_reserve(bytes).map_err(|_| WriteError::NoMemory { bytes })
}

fn fill(buffer: &mut Vec<u8>, bytes: usize) -> Result<(), WriteError> {
    reserve(buffer, bytes)?;
    buffer.resize(bytes, 0);
    Ok(())
}
