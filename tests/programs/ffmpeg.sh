#!/usr/bin/env bash
# ffmpeg makes pictures and sounds, filters, encodes and decodes them with many libraries, on several threads: the files
# must be equal to the byte.
# usage: ffmpeg.sh HAKMEM_RUN [fast|full]      full: ten times as long
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

# convert OPTION... FILE: +bitexact leaves out what a file gets at random.
convert() {
    "${on[@]}" ffmpeg -hide_banner -nostdin -nostats -loglevel error "${@:1:$#-1}" -fflags +bitexact -flags +bitexact \
        "${@: -1}"
}

work() {
    local seconds=$1
    local picture=(-f lavfi -i "testsrc2=size=640x360:rate=25:duration=$seconds")
    local sound=(-f lavfi -i "sine=frequency=440:beep_factor=4:duration=$seconds")
    convert "${picture[@]}" "${sound[@]}" -c:v libx264 -preset veryfast -threads 2 -c:a aac -shortest x264.mp4
    convert "${picture[@]}" -c:v mpeg4 -qscale:v 5 -threads 2 mpeg4.avi
    convert "${picture[@]}" -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -threads 2 -row-mt 0 vp9.webm
    convert "${picture[@]}" -filter_complex \
        'split[a][b];[a]hue=s=0,scale=320:180[c];[b][c]overlay=10:10,unsharp,noise=alls=10:all_seed=3' -c:v ffv1 \
        -threads 2 filtered.mkv
    convert "${sound[@]}" -filter:a 'aecho,atempo=1.3,loudnorm' -c:a libmp3lame sound.mp3
    convert "${sound[@]}" -c:a flac sound.flac
    convert -i x264.mp4 -vf scale=320:-2 -c:v libx264 -preset ultrafast -c:a libvorbis -threads 2 again.mkv
    convert -i filtered.mkv -f framemd5 decoded.framemd5
    convert -i vp9.webm -vf 'select=not(mod(n\,10))' -vsync vfr picture%d.png
    "${on[@]}" ffprobe -hide_banner -loglevel error -show_streams -show_packets -of json again.mkv
}

has_hakmem 1 ffmpeg -hide_banner -loglevel error -f lavfi -i testsrc=duration=0.1 -f null -
if [[ $extent == fast ]]; then
    compare '2 seconds' work 2
else
    compare '20 seconds' work 20
fi
finish
