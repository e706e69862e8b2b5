//! Reads everything back, past all caches.

use crate::block::BlockKind;
use crate::chain::Chain;
use crate::disk::{Disk, DiskFile};
use crate::error::LogError;
use crate::log::VerifyReport;
use crate::reader::Found;
use crate::record::Records;
use crate::seal::TAG_LEN;
use crate::segment::{FIRST_BLOCK, SEGMENT_HEADER_LEN, SegmentHeader};

impl<D: Disk> Chain<D> {
    /// Checks each header and block of each segment against what was written.
    pub(crate) fn verify(&mut self) -> Result<VerifyReport, LogError> {
        self.reader.clear();
        let mut report = VerifyReport::default();
        let firsts: Vec<u64> = self.segments.keys().copied().collect();
        for first in firsts {
            self.verify_header(first)?;
            self.verify_blocks(first, &mut report)?;
            report.segments += 1;
        }
        self.reader.clear();
        Ok(report)
    }

    fn verify_header(&self, first: u64) -> Result<(), LogError> {
        let path = self.segment_path(first);
        let file = self
            .disk
            .open(&path)
            .map_err(|source| LogError::io("open", &path, source))?;
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        file.read_at(&mut bytes, 0)
            .map_err(|source| LogError::io("read", &path, source))?;
        let keys = self.options.seal.as_deref();
        let (header, _) = SegmentHeader::decode(&bytes, &self.options.identity, keys)
            .map_err(|fault| fault.at(&path, first))?;
        let expected = self.segments.get(&first).map(|segment| segment.header);
        if expected == Some(header) {
            Ok(())
        } else {
            Err(LogError::Foreign { path })
        }
    }

    fn verify_blocks(&mut self, first: u64, report: &mut VerifyReport) -> Result<(), LogError> {
        let Some(segment) = self.segments.get_mut(&first) else {
            return Ok(());
        };
        let mut offset = FIRST_BLOCK;
        let mut tag = [0; TAG_LEN];
        while offset < segment.len {
            let limit = segment.len;
            let found = self.reader.find(&self.dir, segment, offset, limit)?;
            let Found::Block(block, opened) = found else {
                return Err(self.reader.corrupt(&self.dir, segment, offset));
            };
            let records = Records::new(&opened.plain);
            let whole = records.filter(|record| record.is_ok()).count() as u64;
            let expected = match block.kind {
                BlockKind::Entries => u64::from(block.count),
                BlockKind::Hint | BlockKind::End | BlockKind::Cut => 0,
            };
            if whole != expected || opened.previous_tag != tag {
                return Err(self.reader.corrupt(&self.dir, segment, offset));
            }
            tag = opened.tag;
            report.blocks += 1;
            report.entries += whole;
            report.bytes += block.extent();
            offset += block.extent();
        }
        Ok(())
    }
}
